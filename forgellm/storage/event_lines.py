"""The lines of an events.jsonl: which of them are events, and where in the file they lie. Nothing is written.

The file only grows and its numbers rise, so a number is found by bisection; lines that are no events are
stepped over wherever they are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from forgellm.domain.runs import Event
from forgellm.storage.files import parse_record

# Beyond it JSON readers, browsers among them, no longer tell one whole number from the next.
_LARGEST = 2**53
# Bytes: enough for some lines, so that little is read in vain; the more are wanted, the larger the pieces.
_PIECE, _LARGE_PIECE = 1 << 13, 1 << 20


def parse_event(line: bytes) -> Event | None:
    """The event in a line, its numbers all finite, or None where the line holds none."""
    record = parse_record(line)
    if record is None or not _is_event(record):
        return None
    if _is_sound(record):
        return record
    try:
        return {key: finite(value) for key, value in record.items()}
    except RecursionError:
        return None


def seq_of(event: Event) -> int:
    """The event's number; 0 for what has none."""
    value = event.get("seq")
    return value if type(value) is int else 0


def finite(value: object) -> object:
    """`value` with None in place of each number that is not finite, or whole and beyond 2^53."""
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else None  # type: ignore[arg-type]
    if kind is int:
        return value if -_LARGEST <= value <= _LARGEST else None  # type: ignore[operator]
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def lines_from(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines from byte `offset` on, each with the offset behind it."""
    file.seek(offset)
    pending, piece = b"", _PIECE
    while read := file.read(piece):
        data = pending + read
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].split(b"\n")[:-1]:
            offset += len(line) + 1
            yield offset, line
        pending = data[whole:]
        # Without a limit where a line is longer: it is copied again with every piece of it.
        piece = min(2 * piece, _LARGE_PIECE) if whole else 2 * piece


def blocks_before(file: BinaryIO, end: int, *, start: int = 0) -> Iterator[bytes]:
    """The whole lines that begin from `start` on and before `end`, in blocks, the last one first.

    `end` is the end of a line or of the file.
    """
    size = _PIECE
    while end > start:
        begin = max(start, end - size)
        before = max(0, begin - 1)
        file.seek(before)
        data = file.read(end - before)
        # What precedes the first newline belongs to a line that begins before; a torn line has no end.
        first = data.find(b"\n") + 1 if begin else 0
        if begin > start and first in (0, len(data)):
            size *= 2
            continue
        yield data[first : data.rfind(b"\n") + 1]
        end = before + first if begin > start else start
        size = min(2 * size, _LARGE_PIECE)


def offset_after(file: BinaryIO, seq: int) -> int:
    """The byte where the first event numbered above `seq` begins, or would begin."""
    low, high = 0, file.seek(0, os.SEEK_END) if seq > 0 else 0
    while high - low > _PIECE:
        middle = (low + high) // 2
        found = _event_between(file, middle, high)
        if found is None or found[1] > seq:
            high = middle
        else:
            low = found[0]
    for behind, line in lines_from(file, low) if seq > 0 else ():
        event = parse_event(line)
        if event is not None and seq_of(event) > seq:
            break
        low = behind
    return low


def _event_between(file: BinaryIO, start: int, end: int) -> tuple[int, int] | None:
    """The offset behind the first event that begins in [start, end), and its number."""
    lines = lines_from(file, start - 1)
    # The line that reaches up to `start`: empty but for its newline where one begins at `start`.
    begin, _ = next(lines, (end, b""))
    for behind, line in lines:
        if begin >= end:
            return None
        event = parse_event(line)
        if event is not None:
            return behind, seq_of(event)
        begin = behind
    return None


def _is_sound(record: Mapping[str, object]) -> bool:
    """Whether `finite` would change nothing, as far as can be told at a glance: nearly every event passes."""
    for value in record.values():
        kind = type(value)
        if kind is float:
            if not -math.inf < value < math.inf:  # type: ignore[operator]
                return False
        elif kind is int:
            if not -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]
                return False
        elif kind is list or kind is dict:
            return False
    return True


def _is_event(record: Mapping[str, object]) -> bool:
    seq = record.get("seq")
    return type(seq) is int and 0 < seq <= _LARGEST and isinstance(record.get("type"), str)
