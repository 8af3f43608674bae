"""Pausing whatever trains in a workspace before its servers end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import click

from forgellm.cli.terminal import has_terminal, say
from forgellm.domain.errors import RunConflict
from forgellm.domain.runs import Run, RunState
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder

_SECONDS_BETWEEN_LOOKS = 0.2
_LOOKS_FOR_THE_NEXT = 15


def pause_training(parts: Parts) -> None:
    """Pause the run that trains and wait until its state is saved; on a terminal, if that is wanted.

    The next one of a queue starts when a run pauses, and is paused as well.
    """
    for number, run in enumerate(_training(parts)):
        question = f"Pause run {run.id}? Its state is saved and it can be resumed"
        if number == 0 and has_terminal() and not click.confirm(question, default=True):
            return
        say(f"Pausing {run.id}; its state is being saved.")
        _pause(parts, run)
        now = state(run_folder(parts.workspace, run)).value
        say(f"{run.id} is {now}. `forgellm runs resume {run.id}` goes on from there.")


def _training(parts: Parts) -> Iterator[Run]:
    """The run that trains, and then whichever its end starts."""
    while (run := _running(parts)) is not None:
        yield run
        for _ in range(_LOOKS_FOR_THE_NEXT):
            if _running(parts) is not None or not _in_state(parts, RunState.PENDING):
                break
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _running(parts: Parts) -> Run | None:
    return next(iter(_in_state(parts, RunState.RUNNING)), None)


def _in_state(parts: Parts, wanted: RunState) -> list[Run]:
    runs = (run for run in list_runs(parts.workspace) if run.kind.trains)
    return [run for run in runs if state(run_folder(parts.workspace, run)) is wanted]


def _pause(parts: Parts, run: Run) -> None:
    while state(run_folder(parts.workspace, run)).is_active:
        # Asked again each time: a worker that is just beginning does not hear it. It may also have ended.
        with suppress(RunConflict):
            launcher.pause(parts.workspace, run)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
