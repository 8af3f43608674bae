"""The queue: the runs that wait, and moving one of them. Which one starts, and when, is `jobs.launcher`'s."""

from __future__ import annotations

from collections.abc import Sequence

from forgellm.domain.errors import InvalidField, RunConflict
from forgellm.domain.runs import Run, RunState
from forgellm.services import runs
from forgellm.services.parts import Parts
from forgellm.storage.queue import in_order, moving, write_order


def waiting(parts: Parts, *, among: Sequence[runs.Summary] | None = None) -> list[Run]:
    """The runs that wait, the next one first; looked for `among` all runs where these are known already."""
    if among is None:
        among = runs.summaries(parts, state=RunState.PENDING, newest_first=False).runs
    return in_order(parts.workspace, [one.run for one in among if one.state is RunState.PENDING])


def move(parts: Parts, run: Run, *, before: Run | None = None, after: Run | None = None) -> list[Run]:
    """Put `run` before or behind another one that waits, or in front of all; the queue as it is then.

    Raises RunConflict where one of them does not wait, InvalidField for what is no place, DiskFull, ReadOnly.
    """
    anchor = before or after
    if (before and after) or (anchor and anchor.id == run.id):
        raise InvalidField(
            "a run is moved before or after one other run",
            details={"field": "after" if after else "before"},
            suggestion="Name one other run, or none to put this one in front of all.",
        )
    with moving(parts.workspace):
        queue = waiting(parts)
        others = queue[: _place(queue, run)] + queue[_place(queue, run) + 1 :]
        place = 0 if anchor is None else _place(others, anchor) + (anchor is after)
        moved = [*others[:place], run, *others[place:]]
        write_order(parts.workspace, moved)
    return moved


def place_of(run: Run, queue: list[Run]) -> str:
    """Where `run` is now, in words."""
    place = _place(queue, run)
    return f"Run {run.id} is next" if place == 0 else f"Run {run.id} starts after {queue[place - 1].id}"


def _place(queue: list[Run], run: Run) -> int:
    place = next((n for n, one in enumerate(queue) if one.id == run.id), None)
    if place is None:
        raise RunConflict(
            f"run {run.id} does not wait in the queue",
            details={"run": run.id},
            suggestion="Only runs that are pending can be moved: `forgellm runs` shows them.",
        )
    return place
