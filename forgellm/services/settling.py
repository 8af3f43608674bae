"""Waiting until a worker has done what it was told to."""

from __future__ import annotations

from collections.abc import Callable

from forgellm.domain.runs import Run, RunState
from forgellm.services.parts import Parts
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder

_WORKING = (RunState.RUNNING, RunState.STOPPING)


def settled(parts: Parts, run: Run, *, wait: Callable[[], None], looks: int) -> RunState:
    """The state once no worker is busy with the run any more, or after so many `looks`; `wait` is called
    between two of them."""
    folder = run_folder(parts.workspace, run)
    for _ in range(looks):
        if state(folder) not in _WORKING:
            break
        wait()
    return state(folder)
