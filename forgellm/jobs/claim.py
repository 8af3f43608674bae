"""The right to execute a run: its lock, and for a run that trains the workspace's training lock.

Whoever begins a run holds its claim until the run ends. Processes are started in `jobs.launcher`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forgellm.domain.errors import RunConflict, RunNotFound
from forgellm.domain.runs import Run, RunState
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock, storage_errors
from forgellm.storage.liveness import (
    is_alive,
    lock_path,
    remove_leftovers,
    resting_state,
    write_control,
)
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Claim:
    """`run` is the lock that keeps the run alive; `training` is None for a run that does not train."""

    run: HeldLock
    training: HeldLock | None

    @property
    def locks(self) -> list[HeldLock]:
        return [lock for lock in (self.training, self.run) if lock is not None]

    def release(self) -> None:
        """Give the machine up, and then the run: who sees that a run has ended may start the next one."""
        for lock in self.locks:
            lock.release()

    def hand_over(self) -> None:
        """Leave the claim to a child that inherited it: a copy left open would keep a dead worker alive."""
        for lock in self.locks:
            lock.hand_over()


FRESH = frozenset({RunState.PENDING})
BEGUN = frozenset(state for state in RunState if state.can_resume)
"""The states from which a run starts, and those from which it goes on."""


def begin(
    workspace: Workspace, run: Run, *, states: Collection[RunState], clock: Callable[[], datetime]
) -> Claim:
    """Claim a run that is in one of `states` and record that it starts, or goes on.

    Raises RunConflict where it is in another state, or it or another run that trains is running;
    RunNotFound, DiskFull, ReadOnly. Nothing is claimed then.
    """
    folder = run_folder(workspace, run)
    if not folder.is_dir():
        raise RunNotFound(f"run {run.id} has no folder any more", details={"run": run.id, "path": run.folder})
    with ExitStack() as undo:
        training = _take_training(workspace, run) if run.kind.trains else None
        if training is not None:
            undo.callback(training.release)
        lock = HeldLock.acquire(lock_path(folder))
        if lock is None:
            raise conflict(
                run, f"run {run.id} is running already", f"Follow it: forgellm runs follow {run.id}"
            )
        undo.callback(lock.release)
        _record_start(run, folder, states=states, clock=clock)
        undo.pop_all()
    return Claim(lock, training)


def conflict(run: Run, message: str, suggestion: str) -> RunConflict:
    """The refusal of something that the state of `run` forbids."""
    return RunConflict(message, details={"run": run.id}, suggestion=suggestion)


def _record_start(
    run: Run, folder: Path, *, states: Collection[RunState], clock: Callable[[], datetime]
) -> None:
    state = resting_state(folder)
    # Only training saves a state to go on from.
    if state not in states or not (run.kind.trains or state in FRESH):
        raise conflict(run, f"run {run.id} is {state.value}", _way_out(run, state))
    write_control(folder, "run")
    remove_leftovers(folder)
    EventLog(folder, clock).append("started", resume=state not in FRESH)


def _way_out(run: Run, state: RunState) -> str:
    if state in FRESH:
        return "It starts when its turn comes."
    if run.kind.trains and state in BEGUN:
        return f"Resume it: forgellm runs resume {run.id}"
    return "It is over: start a new one."


def _take_training(workspace: Workspace, run: Run) -> HeldLock:
    with storage_errors(workspace.private):
        workspace.private.mkdir(exist_ok=True)
    lock = HeldLock.acquire(workspace.training_lock)
    if lock is not None:
        return lock
    trained = [r for r in list_runs(workspace) if r.kind.trains and is_alive(run_folder(workspace, r))]
    other = trained[0] if trained else run
    what = "is running already" if other.id == run.id else "is training"
    raise conflict(other, f"run {other.id} {what}", "Wait for it, pause it or stop it, or queue the new run.")
