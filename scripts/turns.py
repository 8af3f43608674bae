"""Processes that do steps in turns, so that whatever else the machine does falls on all of them alike.

What they do is the caller's; here are the clock that times a step, and who is next.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

Trainer = Callable[[Any, int, Connection], list[float]]
"""Trains a case for some counted epochs, waiting for its turns; the seconds of each of them."""


class Clock:
    """Seconds of every step of a process that takes turns with another.

    Its end of the pipe says how far it has come, and gets something when it is its turn.
    """

    def __init__(self, turns: Connection, steps: int) -> None:
        self._turns, self._steps = turns, steps
        self._seconds: list[float] = []
        self._begun = math.nan

    def wait(self) -> None:
        """Wait for a turn; what follows is timed."""
        self._turns.send(len(self._seconds) / self._steps)
        self._turns.recv()
        self._begun = time.perf_counter()

    def tick(self) -> None:
        """A step ended; the next one begins when it is its turn."""
        self._seconds.append(time.perf_counter() - self._begun)
        if len(self._seconds) < self._steps:
            self.wait()

    def epochs(self, count: int) -> list[float]:
        """Seconds of each of the last `count` epochs, where there was one more before them."""
        each = self._steps // (count + 1)
        starts = range(each, self._steps, each)
        return [sum(self._seconds[start : start + each]) for start in starts]


def in_turns(case: Any, epochs: int, trainers: Sequence[Trainer]) -> list[list[float]]:
    """The seconds of each in every counted epoch. Whoever has come less far takes the next step.

    Raises ChildProcessError where one of them dies; the others are ended.
    """
    processes: list[Child] = []
    try:
        for trainer in trainers:
            processes.append(Child(trainer, case, epochs))
        return _seconds(processes)
    finally:
        for process in processes:
            process.end()


def _seconds(processes: Sequence[Child]) -> list[list[float]]:
    far = {process: process.said() for process in processes}
    found = {}
    while far:
        process = min(far, key=lambda one: far[one])
        process.go_on()
        said = process.said()
        if isinstance(said, list):
            found[process] = said
            del far[process]
        else:
            far[process] = said
    return [found[process] for process in processes]


class Child:
    """A process that trains; memory and threads are its own."""

    def __init__(self, trainer: Trainer, case: Any, epochs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._turns, theirs = context.Pipe()
        self._name = trainer.__name__
        self._process = context.Process(target=train, args=(trainer, case, epochs, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def said(self) -> Any:
        """How far it has come, or its seconds. Raises ChildProcessError where it died."""
        try:
            return self._turns.recv()
        except (EOFError, ConnectionError):
            raise self._died() from None

    def go_on(self) -> None:
        """Give it its turn. Raises ChildProcessError where it died."""
        try:
            self._turns.send(None)
        except ConnectionError:
            raise self._died() from None

    def _died(self) -> ChildProcessError:
        self._process.join()
        code = self._process.exitcode
        return ChildProcessError(f"{self._name} died with exit status {code}: its own words stand above")

    def end(self) -> None:
        """End it where it goes on."""
        self._process.kill()
        self._process.join()
        self._turns.close()


def train(trainer: Trainer, case: Any, epochs: int, turns: Connection) -> None:
    """What such a process does."""
    # mlx-lm prints its reports.
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = trainer(case, epochs, turns)
    turns.send(seconds)
