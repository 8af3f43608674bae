"""What a run measured, in columns: what a page draws. Read once, and from then on only what was added.

A run of 200,000 iterations takes a second or two to read and milliseconds to look at again. What the values
come to is in `services.curves` and `services.comparison`.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from forgellm.domain.metrics import Series
from forgellm.domain.runs import Event, Run
from forgellm.services.curves import MEASURED
from forgellm.services.parts import Parts
from forgellm.services.progress import measured
from forgellm.storage.events import events_after, events_path
from forgellm.storage.runs import run_folder

_KEPT = 16
"""Runs whose columns stay in memory: 64 bytes for each iteration."""
_WORD = 8


class Columns:
    """Rows by ascending iteration; NaN is what was not measured there. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def packed(self, folder: Path, *, points: int | None) -> bytes:
        """The columns after all events of `folder`, about `points` evenly spaced rows of them.

        A line of JSON (`columns`, `rows`, `last_seq`), then each column as 64-bit floats in little-endian
        order. The line is filled up with spaces so that the columns begin at a multiple of 8 bytes.
        """
        with self._lock:
            self._catch_up(folder)
            rows = self._rows(points)
            columns = {"iteration": self._iterations, **self._values}
            head = {"columns": list(columns), "rows": len(rows), "last_seq": self._last_seq}
            return _line(head) + b"".join(_little_endian(column, rows) for column in columns.values())

    def last_seq(self, folder: Path) -> int:
        """The number of the last event of `folder`."""
        with self._lock:
            self._catch_up(folder)
            return self._last_seq

    def series(self, folder: Path) -> dict[str, Series]:
        """Each key of MEASURED with what was measured of it after all events of `folder`."""
        with self._lock:
            self._catch_up(folder)
            iterations = [int(iteration) for iteration in self._iterations]
            return {
                key: [pair for pair in zip(iterations, column, strict=True) if not math.isnan(pair[1])]
                for key, column in self._values.items()
            }

    def _forget(self) -> None:
        self._iterations = array("d")
        self._values = {key: array("d") for key in MEASURED}
        self._last_seq = self._bytes = 0

    def _catch_up(self, folder: Path) -> None:
        size = events_path(folder).stat().st_size if events_path(folder).exists() else 0
        if size < self._bytes:
            # A power cut or an old backup took events.
            self._forget()
        if size != self._bytes:
            for event in events_after(folder, self._last_seq):
                self._take(event)
        self._bytes = size

    def _take(self, event: Event) -> None:
        kind, iteration = event["type"], event.get("iteration")
        self._last_seq = int(str(event["seq"]))
        if kind == "resumed":
            # It repeats the iterations after the state that it goes on from.
            self._cut(iteration if type(iteration) is int else 0)
        elif kind in ("train", "validation") and type(iteration) is int:
            place = self._place_of(iteration)
            for key in MEASURED:
                value = event.get(key)
                # Every float that was read from an event is finite.
                number = value if type(value) is float else measured(value)
                if number is not None:
                    self._values[key][place] = number

    def _cut(self, iteration: int) -> None:
        end = bisect_left(self._iterations, iteration + 1)
        for column in (self._iterations, *self._values.values()):
            del column[end:]

    def _place_of(self, iteration: int) -> int:
        if self._iterations and self._iterations[-1] == iteration:
            return len(self._iterations) - 1
        place = bisect_left(self._iterations, iteration)
        if place == len(self._iterations) or self._iterations[place] != iteration:
            self._iterations.insert(place, iteration)
            for column in self._values.values():
                column.insert(place, math.nan)
        return place

    def _rows(self, points: int | None) -> Sequence[int]:
        """All of them, or some; those with a validation and the last one stay."""
        count = len(self._iterations)
        step = 1 if points is None else max(1, count // points)
        if step == 1:
            return range(count)
        validated = (n for n, value in enumerate(self._values["validation_loss"]) if not math.isnan(value))
        return sorted({*range(0, count, step), count - 1, *validated})


def measurements(parts: Parts, run: Run, *, points: int | None = None) -> bytes:
    """The run's measurements as `Columns.packed` writes them. Raises ForgeError where they cannot be read."""
    folder = run_folder(parts.workspace, run)
    return _columns_of(folder).packed(folder, points=points)


def last_measured(parts: Parts, run: Run) -> int:
    """The number of the event up to which the run's measurements are known now. Raises ForgeError."""
    folder = run_folder(parts.workspace, run)
    return _columns_of(folder).last_seq(folder)


def measured_series(folder: Path) -> dict[str, Series]:
    """The measurements of the run in `folder` as series. Raises ForgeError where they cannot be read."""
    return _columns_of(folder).series(folder)


@lru_cache(maxsize=_KEPT)
def _columns_of(folder: Path) -> Columns:
    return Columns()


def _line(head: dict[str, object]) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + b" " * (-(len(text) + 1) % _WORD) + b"\n"


def _little_endian(column: array[float], rows: Sequence[int]) -> bytes:
    chosen = column[:] if isinstance(rows, range) else array("d", map(column.__getitem__, rows))
    if sys.byteorder == "big":
        chosen.byteswap()
    return chosen.tobytes()
