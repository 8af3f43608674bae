"""The training run that is meant where nobody names one: by the documented routes without an id."""

from __future__ import annotations

from forgellm.domain.errors import RunConflict, RunNotFound
from forgellm.domain.runs import Run, RunState
from forgellm.services import runs
from forgellm.services.parts import Parts
from forgellm.services.queue import waiting
from forgellm.storage.liveness import state
from forgellm.storage.runs import find_run, run_folder


def current(parts: Parts) -> Run | None:
    """The run that trains; else the next in the queue; else the newest; None where none ever trained."""
    try:
        run = runs.find(parts, None, wanted=lambda run, _: run.kind.trains, sought="training run")
    except RunNotFound:
        return None
    if state(run_folder(parts.workspace, run)) is not RunState.PENDING:
        return run
    return next((one for one in waiting(parts) if one.kind.trains), run)


def named_or_current(parts: Parts, key: str | None) -> Run | None:
    """The run called `key` (an id, a number or a folder), or the current one. Raises RunNotFound."""
    return current(parts) if key is None else find_run(parts.workspace, key)


def chosen(parts: Parts, key: str | None, *, states: frozenset[RunState], verb: str) -> Run:
    """The run called `key`, or the newest training run in one of `states`.

    Raises RunConflict, saying that there is nothing to `verb`; RunNotFound for an unknown key.
    """
    if key is not None:
        return find_run(parts.workspace, key)
    try:
        return runs.find(
            parts, None, wanted=lambda run, state: run.kind.trains and state in states, sought="training run"
        )
    except RunNotFound as error:
        raise RunConflict(
            f"there is no training run to {verb}",
            details={"states": sorted(state.value for state in states)},
            suggestion="GET /api/runs lists every run with its state.",
        ) from error
