"""A run's events.jsonl: appending, reading, following, and the last event that decides the state.

What an event means is in `domain.runs` and `domain.metrics`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

from forgellm.domain.runs import LIFECYCLE, Event
from forgellm.storage.files import append_json_line, parse_record, read_blocks_backwards, read_json_lines

# Finds the few candidates among many thousand lines; what it finds is parsed before it is believed.
_CANDIDATE = re.compile(rb'"type": ?"(?:' + "|".join(sorted(LIFECYCLE)).encode() + rb')"')


class EventLog:
    """The one writer of a run's events; it goes on counting where the file ends."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._path = events_path(folder)
        self._clock = clock
        self._seq = _last_seq(self._path)

    def append(self, type: str, **values: object) -> Event:
        """Write one event; a number that is not finite becomes None. Raises DiskFull, ReadOnly.

        All but the frequent `train` events are on the disk when this returns.
        """
        time = self._clock().astimezone(timezone.utc).isoformat(timespec="milliseconds")
        cleaned = {key: _finite(value) for key, value in values.items()}
        event = {"seq": self._seq + 1, "time": time.replace("+00:00", "Z"), "type": type, **cleaned}
        append_json_line(self._path, event, sync=type != "train")
        self._seq += 1
        return event


def events_path(folder: Path) -> Path:
    """Where a run's events are."""
    return folder / "events.jsonl"


def read_events(folder: Path, *, after: int = 0) -> list[Event]:
    """The events with a `seq` above `after`, oldest first. Lines that are no events are skipped."""
    records = read_json_lines(events_path(folder)).records
    return [record for record in records if _is_event(record) and _seq(record) > after]


def follow_events(
    folder: Path, *, after: int, wait: Callable[[], None], finished: Callable[[], bool]
) -> Iterator[Event]:
    """The events with a `seq` above `after` as they come, until `finished` and all were read."""
    offset, last = 0, after
    while True:
        # Asked first: what was written before the end is then still read.
        over = finished()
        lines = read_json_lines(events_path(folder), offset=offset)
        offset = lines.offset
        for record in lines.records:
            if _is_event(record) and _seq(record) > last:
                last = _seq(record)
                yield record
        if over:
            return
        wait()


def last_lifecycle_event(folder: Path) -> Event | None:
    """The last event that decides the state; only as much of the file is read as it takes."""
    for block in read_blocks_backwards(events_path(folder)):
        for match in reversed(list(_CANDIDATE.finditer(block))):
            record = parse_record(_line_around(block, match.start()))
            if record is not None and _is_event(record) and record["type"] in LIFECYCLE:
                return record
    return None


def _line_around(block: bytes, position: int) -> bytes:
    return block[block.rfind(b"\n", 0, position) + 1 : block.find(b"\n", position)]


def _last_seq(path: Path) -> int:
    for block in read_blocks_backwards(path):
        for line in reversed(block.splitlines()):
            record = parse_record(line)
            if record is not None and _is_event(record):
                return _seq(record)
    return 0


def _is_event(record: Mapping[str, object]) -> bool:
    return type(record.get("seq")) is int and isinstance(record.get("type"), str)


def _seq(record: Mapping[str, object]) -> int:
    value = record["seq"]
    return value if isinstance(value, int) else 0


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
