"""Showing a run while it goes on: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import click

from forgellm.cli.wording import event_line, train_line
from forgellm.domain.runs import Event
from forgellm.services.progress import Progress

# A log file should say that the run lives without filling up.
_SECONDS_BETWEEN_LINES = 10.0


class Display(Protocol):
    """Something that shows each event as it comes."""

    def show(self, event: Event, progress: Progress) -> None:
        """`progress` is the one after `event`."""


class PlainDisplay:
    """Lines for a log: every lasting event, and the figures now and then. `monotonic` is in seconds."""

    def __init__(self, write: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._write = write
        self._monotonic = monotonic
        self._shown: float | None = None

    def show(self, event: Event, progress: Progress) -> None:
        line = event_line(event)
        if line is not None:
            self._write(line)
        elif event["type"] == "train" and self._is_due():
            self._write(train_line(progress))

    def _is_due(self) -> bool:
        now = self._monotonic()
        if self._shown is not None and now - self._shown < _SECONDS_BETWEEN_LINES:
            return False
        self._shown = now
        return True


def open_display(progress: Progress) -> AbstractContextManager[Display]:
    """The display that suits standard output; `progress` is where the run stands."""
    if sys.stdout is None or not sys.stdout.isatty():
        return nullcontext(PlainDisplay(click.echo, time.monotonic))
    # 30 ms that only a terminal needs.
    from forgellm.cli.live import LiveDisplay

    return LiveDisplay(progress)
