"""A run's events.jsonl: appending, reading, following, and the last event of a kind.

What an event means is in `domain.runs` and `domain.metrics`, where it lies in the file in
`storage.event_lines`. Whatever the file holds, the numbers of what is read are finite.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timezone
from functools import lru_cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import LIFECYCLE, Event
from forgellm.storage.event_lines import blocks_before, finite, lines_from, offset_after, parse_event, seq_of
from forgellm.storage.files import Version, append_json_line, own_file, settled_version

# Bytes; small enough to search the two last pieces at every look, large enough for few of them.
_SETTLED = 1 << 18
_MARK_BYTES = 64
# A line as it is appended says its type at once; of others all is searched.
_HEAD = re.compile(rb'\{"seq": [0-9]+, "time": "[^"\\]*", "type": "([^"\\]*)"')
# What the file is, not what the process lacks at the moment.
_UNREADABLE = {errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO}


class EventLog:
    """The one writer of a run's events; it goes on counting where the file ends.

    Raises ForgeError where the file is there but cannot be read.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._path = events_path(folder)
        self._clock = clock
        self._seq = next(map(seq_of, events_backwards(folder)), 0)

    def append(self, type: str, **values: object) -> Event:
        """Write one event; a number that is not finite, or whole and beyond 2^53, becomes None.

        All but the frequent `train` events are on the disk when this returns. Raises DiskFull, ReadOnly.
        """
        time = self._clock().astimezone(timezone.utc).isoformat(timespec="milliseconds")
        cleaned = {key: finite(value) for key, value in values.items()}
        event = {"seq": self._seq + 1, "time": time.replace("+00:00", "Z"), "type": type, **cleaned}
        append_json_line(self._path, event, sync=type != "train")
        self._seq += 1
        return event


def events_path(folder: Path) -> Path:
    """Where a run's events are."""
    return folder / "events.jsonl"


def read_events(folder: Path, *, after: int = 0, limit: int | None = None) -> list[Event]:
    """The events with a `seq` above `after`, oldest first, at most `limit` of them.

    Lines that are no events are skipped; those up to `after` are not read. A missing file has no events.
    Raises ForgeError where it cannot be read.
    """
    return list(islice(events_after(folder, after), limit))


def events_after(folder: Path, seq: int) -> Iterator[Event]:
    """What `read_events` reads, one after another: who has enough does not read the rest."""
    with _open(folder) as file:
        for _, line in lines_from(file, offset_after(file, seq)):
            event = parse_event(line)
            if event is not None and seq_of(event) > seq:
                yield event


def events_of(folder: Path, types: Collection[str]) -> Iterator[Event]:
    """The events of those types, oldest first; of the many others no line is parsed. Raises ForgeError."""
    names = [name.encode() for name in types]
    quoted = [b'"%b"' % name for name in names]
    with _open(folder) as file:
        for _, line in lines_from(file, 0):
            head = _HEAD.match(line)
            likely = head[1] in names if head else any(name in line for name in quoted)
            event = parse_event(line) if likely else None
            if event is not None and event["type"] in types:
                yield event


def events_backwards(folder: Path, *, upto: int | None = None) -> Iterator[Event]:
    """The events, the last one first, or from the one numbered `upto` on back. Raises ForgeError."""
    with _open(folder) as file:
        for block in blocks_before(file, _end(file, upto)):
            for line in reversed(block.split(b"\n")):
                event = parse_event(line) if line else None
                if event is not None:
                    yield event


def follow_events(
    folder: Path, *, after: int, wait: Callable[[], None], finished: Callable[[], bool]
) -> Iterator[Event]:
    """The events with a `seq` above `after` as they come, until `finished` and all were read.

    Raises ForgeError where the file cannot be read.
    """
    with _open(folder) as file:
        offset, last = offset_after(file, after), after
    while True:
        # Asked first: what was written before the end is then still read.
        over = finished()
        with _open(folder) as file:
            for behind, line in lines_from(file, offset):
                offset, event = behind, parse_event(line)
                if event is not None and seq_of(event) > last:
                    last = seq_of(event)
                    yield event
        if over:
            return
        wait()


Mark = tuple[int, int, bytes]
"""A place in a file of events, by what lies before it: the file's inode, the size in bytes up to there, and
the last of these bytes. Appending changes nothing there, but another file in its place, or one that was cut
off and has grown again, has another mark at that size."""


def mark_of(folder: Path, *, size: int | None = None) -> Mark | None:
    """The mark at the end of a run's events, or at `size`; None without a file. Raises ForgeError."""
    with _open(folder) as file:
        if isinstance(file, BytesIO):
            return None
        status = os.fstat(file.fileno())
        end = status.st_size if size is None else size
        length = min(end, _MARK_BYTES)
        return status.st_ino, end, os.pread(file.fileno(), length, end - length)


def last_event(folder: Path, types: Collection[str], *, upto: int | None = None) -> Event | None:
    """The last event of one of the `types`, numbered `upto` at most; only as much is read as it takes.

    Raises ForgeError where the file cannot be read.
    """
    wanted = frozenset(types)
    with _open(folder) as file:
        end = _end(file, upto)
        settled = max(0, end // _SETTLED - 1)
        found = _last_between(file, settled * _SETTLED, end, types=wanted)
        path = events_path(folder)
        for index in reversed(range(settled)):
            if found is not None:
                break
            last_bytes = os.pread(file.fileno(), 64, (index + 1) * _SETTLED - 64)
            version = (os.fstat(file.fileno()).st_ino, last_bytes)
            found = _last_in_piece(path, index, version, types=wanted)
        return found


def last_lifecycle_event(folder: Path) -> Event | None:
    """The last event that decides the state.

    Where the file is there but cannot be read, it is a `failed` one that says why: such a run must not pass
    for one that never began, nor keep others from being listed or started.
    """
    version = settled_version(events_path(folder))
    try:
        return last_event(folder, LIFECYCLE) if version is None else _last_lifecycle_event(folder, version)
    except ForgeError as error:
        said = {"code": error.code, "error": error.message, "suggestion": error.suggestion}
        return {"type": "failed", **said}


# Of many runs nearly all are over, and each list, each look at the queue asks for the state of all of them.
@lru_cache(maxsize=4096)
def _last_lifecycle_event(folder: Path, _version: Version) -> Event | None:
    return last_event(folder, LIFECYCLE)


# Whoever watches a long run asks for its state several times a second, and the event that decides it is the
# first one of all. What is appended does not change a piece far from the end: it is searched once a process.
@lru_cache(maxsize=4096)
def _last_in_piece(
    path: Path, index: int, _version: tuple[int, bytes], *, types: frozenset[str]
) -> Event | None:
    """The last event among the lines that begin in a piece; another file in its place has another version."""
    behind = (index + 1) * _SETTLED
    with open(path, "rb") as file:
        file.seek(behind - 1)
        return _last_between(file, index * _SETTLED, behind - 1 + len(file.readline()), types=types)


def _last_between(file: BinaryIO, start: int, end: int, *, types: frozenset[str]) -> Event | None:
    # Finds the few candidates among many thousand lines; what it finds is parsed before it is believed.
    names = [b'"%b"' % name.encode() for name in types]
    for block in blocks_before(file, end, start=start):
        places = {name: block.rfind(name) for name in names}
        while (place := max(places.values())) >= 0:
            begin = block.rfind(b"\n", 0, place) + 1
            event = parse_event(block[begin : block.find(b"\n", begin)])
            if event is not None and event["type"] in types:
                return event
            places = {name: p if p < begin else block.rfind(name, 0, begin) for name, p in places.items()}
    return None


def _end(file: BinaryIO, upto: int | None) -> int:
    """Where the events numbered `upto` at most end."""
    return file.seek(0, os.SEEK_END) if upto is None else offset_after(file, upto)


def _open(folder: Path) -> BinaryIO:
    """The file, or an empty one where there is none. Raises ForgeError where it is no readable file."""
    path = events_path(folder)
    try:
        return open(path, "rb", opener=own_file)
    except FileNotFoundError:
        return BytesIO()
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise ForgeError(
            f"{path.name} of {folder.name} cannot be read: {error.strerror}",
            details={"path": str(path), "reason": error.strerror},
            suggestion="Make it a readable file again, or move the folder away.",
        ) from error
