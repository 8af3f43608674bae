"""What a run measured, in columns that stay in memory: read once, and from then on only what was added.

A run of 200,000 iterations takes a second or two to read and milliseconds to look at again. What leaves the
server of it is in `services.measurements` and `services.curves`.
"""

from __future__ import annotations

import math
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from forgellm.domain.metrics import Series
from forgellm.domain.runs import Event
from forgellm.services.progress import measured
from forgellm.storage.events import Mark, events_after, mark_of

MEASURED = (
    "training_loss",
    "validation_loss",
    "general_validation_loss",
    "learning_rate",
    "tokens_per_second",
    "memory_usage_gb",
    "gradient_norm",
    "reward_margin",
    "reward_accuracy",
)
"""What is drawn of a run."""

_SUMMED = ("iteration_seconds", "peak_memory_gb")
_RUNS = 16
"""Runs whose columns stay in memory: some 200 bytes for each iteration."""


class Columns:
    """Rows by ascending iteration; NaN is what was not measured there.

    `values` has MEASURED, the seconds of an iteration and the peak of the memory; `seqs` and `times` are of
    the event that was measured last at an iteration, `last_seq` is the number of the last event of all.
    """

    _mark: Mark | None

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._forget()

    def series(self, key: str) -> Series:
        """(iteration, value) wherever it was measured."""
        pairs = zip(self.iterations, self.values[key], strict=True)
        return [(int(iteration), value) for iteration, value in pairs if not math.isnan(value)]

    def places(self, points: int | None) -> Sequence[int]:
        """All rows, or about `points` evenly spaced ones; those with a validation and the last one stay."""
        count = len(self.iterations)
        step = 1 if points is None else max(1, count // points)
        if step == 1:
            return range(count)
        validated = (n for n, value in enumerate(self.values["validation_loss"]) if not math.isnan(value))
        return sorted({*range(0, count, step), count - 1, *validated})

    def catch_up(self, folder: Path) -> None:
        """Read on in the events of `folder`. Raises ForgeError where they cannot be read."""
        end = mark_of(folder)
        if end == self._mark:
            return
        if self._mark is not None and mark_of(folder, size=self._mark[1]) != self._mark:
            # A power cut or an old backup took events, or another run lies there now.
            self._forget()
        for event in events_after(folder, self.last_seq):
            self._take(event)
        self._mark = end

    def _forget(self) -> None:
        self.iterations = array("d")
        self.values = {key: array("d") for key in (*MEASURED, *_SUMMED)}
        self.seqs = array("q")
        self.times: list[str] = []
        self.last_seq = 0
        self._mark = None

    def _take(self, event: Event) -> None:
        kind, iteration = event["type"], event.get("iteration")
        self.last_seq = int(str(event["seq"]))
        if kind == "resumed":
            # It repeats the iterations after the state that it goes on from.
            self._cut(iteration if type(iteration) is int else 0)
        elif kind in ("train", "validation") and type(iteration) is int:
            place = self._place_of(iteration)
            self.seqs[place], self.times[place] = self.last_seq, str(event.get("time"))
            for key, column in self.values.items():
                value = event.get(key)
                # Every float that was read from an event is finite.
                number = value if type(value) is float else measured(value)
                if number is not None:
                    column[place] = number

    def _cut(self, iteration: int) -> None:
        end = bisect_left(self.iterations, iteration + 1)
        del self.seqs[end:], self.times[end:]
        for column in (self.iterations, *self.values.values()):
            del column[end:]

    def _place_of(self, iteration: int) -> int:
        if self.iterations and self.iterations[-1] == iteration:
            return len(self.iterations) - 1
        place = bisect_left(self.iterations, iteration)
        if place == len(self.iterations) or self.iterations[place] != iteration:
            self.iterations.insert(place, iteration)
            self.seqs.insert(place, 0)
            self.times.insert(place, "")
            for column in self.values.values():
                column.insert(place, math.nan)
        return place


@contextmanager
def columns(folder: Path) -> Iterator[Columns]:
    """The columns of the run in `folder` after all of its events; they do not change until this is left.

    Raises ForgeError where the events cannot be read.
    """
    known = _columns_of(folder)
    with known.lock:
        known.catch_up(folder)
        yield known


@lru_cache(maxsize=_RUNS)
def _columns_of(_folder: Path) -> Columns:
    return Columns()
