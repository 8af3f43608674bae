"""Starting workers, and telling them to pause or stop. `storage.queue` says which is next.

No job and no MLX is imported here: a server may hold this. What a worker does is in `jobs.worker`.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from forgellm.domain.errors import ForgeError, ReadOnly, RunConflict, RunNotFound
from forgellm.domain.runs import Run, RunState
from forgellm.jobs.claim import BEGUN, FRESH, Claim, begin, conflict
from forgellm.jobs.job import failure_values, utc_now
from forgellm.settings import importing_this
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock, is_held, own_file
from forgellm.storage.liveness import lock_path, resting_state, state, waits, write_control
from forgellm.storage.queue import in_order
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace

WORKER = (sys.executable, "-m", "forgellm.jobs.worker")
"""The command that executes a run; its folder and the claim's descriptors are added."""

_STOP_ATTEMPTS = 25


def launch(
    workspace: Workspace,
    run: Run,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    command: Sequence[str] = WORKER,
) -> None:
    """Start the worker of a pending run, and return at once.

    Raises RunConflict where the run is not pending, or another one that trains is running; RunNotFound,
    DiskFull, ReadOnly.
    """
    _start(workspace, run, states=FRESH, environment=environment, clock=clock, command=command)


def launch_new(
    workspace: Workspace,
    run: Run,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    command: Sequence[str] = WORKER,
) -> None:
    """Launch a run that was created just now, unless who starts what waits was quicker: it has begun then.

    Raises what `launch` raises, RunConflict while the run still waits.
    """
    try:
        launch(workspace, run, environment=environment, clock=clock, command=command)
    except RunConflict:
        if waits(run_folder(workspace, run)):
            raise


def launch_next(
    workspace: Workspace,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    command: Sequence[str] = WORKER,
) -> Run | None:
    """Launch the first pending run that may start now; None where there is none.

    One whose folder cannot be written to, as that of another user, does not hold up those behind it; where
    none of them starts either, why it does not is raised: ReadOnly, OSError. Raises DiskFull.
    """
    busy, problem = False, None
    for run in in_order(workspace, list_runs(workspace)):
        if (busy and run.kind.trains) or not waits(run_folder(workspace, run)):
            continue
        try:
            launch(workspace, run, environment=environment, clock=clock, command=command)
        except (RunConflict, RunNotFound):
            # Someone else trains, or was quicker. Asked only now: a worker that was killed frees the run's
            # lock a moment before the training lock, and taking a lock waits that moment.
            busy = busy or is_held(workspace.training_lock)
            continue
        except (ReadOnly, PermissionError, IsADirectoryError) as error:
            problem = problem or error
            continue
        return run
    if problem is not None:
        raise problem
    return None


def resume(
    workspace: Workspace,
    run: Run,
    *,
    environment: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    command: Sequence[str] = WORKER,
) -> None:
    """Go on with a training run that was paused, interrupted or stopped, or that failed; returns at once.

    Raises RunConflict where there is nothing to go on with, or another run trains; RunNotFound, DiskFull,
    ReadOnly.
    """
    _start(workspace, run, states=BEGUN, environment=environment, clock=clock, command=command)


def pause(workspace: Workspace, run: Run) -> None:
    """Ask a run that trains to save its state and end its process. Raises RunConflict."""
    folder = run_folder(workspace, run)
    current = state(folder)
    if not run.kind.trains or current not in (RunState.RUNNING, RunState.STOPPING):
        raise conflict(
            run,
            f"run {run.id} is a {run.kind.value} run that is {current.value}: it cannot be paused",
            "Only a training run that is running can.",
        )
    write_control(folder, "pause")


def stop(workspace: Workspace, run: Run, *, clock: Callable[[], datetime] = utc_now) -> None:
    """End a run: by its worker where it has one, at once otherwise. Raises RunConflict."""
    folder = run_folder(workspace, run)
    for _ in range(_STOP_ATTEMPTS):
        if state(folder) in (RunState.RUNNING, RunState.STOPPING):
            return write_control(folder, "stop")
        lock = HeldLock.acquire(lock_path(folder))
        if lock is not None:
            return _stop_resting(run, folder, lock=lock, clock=clock)
        # It is being launched: what would be written now is reset before it begins.
    raise conflict(run, f"run {run.id} is neither running nor free", "Try again in a moment.")


def _start(
    workspace: Workspace,
    run: Run,
    *,
    states: Collection[RunState],
    environment: Mapping[str, str],
    clock: Callable[[], datetime],
    command: Sequence[str],
) -> None:
    claim = begin(workspace, run, states=states, clock=clock)
    with ExitStack() as undo:
        undo.callback(claim.release)
        _spawn(workspace, run, claim=claim, environment=environment, clock=clock, command=command)
        undo.pop_all()
    claim.hand_over()


def _stop_resting(run: Run, folder: Path, *, lock: HeldLock, clock: Callable[[], datetime]) -> None:
    try:
        current = resting_state(folder)
        if current not in (RunState.PENDING, RunState.PAUSED, RunState.INTERRUPTED):
            raise conflict(run, f"run {run.id} is {current.value} already", "There is nothing to stop.")
        EventLog(folder, clock).append("stopped")
    finally:
        lock.release()


def _spawn(
    workspace: Workspace,
    run: Run,
    *,
    claim: Claim,
    environment: Mapping[str, str],
    clock: Callable[[], datetime],
    command: Sequence[str],
) -> None:
    folder = run_folder(workspace, run)
    try:
        with open(folder / "worker.log", "ab", opener=own_file) as log:
            process = subprocess.Popen(
                [*command, str(folder), *_descriptors(claim)],
                start_new_session=True,
                pass_fds=[lock.descriptor for lock in claim.locks],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=workspace.root,
                env={**importing_this(environment), "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        failure = ForgeError(
            f"the worker of run {run.id} could not be started: {error}",
            details={"run": run.id, "command": list(command)},
            suggestion="Close some programs, or check the Python installation; then resume the run.",
        )
        EventLog(folder, clock).append("failed", **failure_values(failure))
        raise failure from error
    # A child nobody waits for stays in the process table until its parent ends. Without another thread that
    # is all that happens; an error here would free the locks of a worker that lives.
    with suppress(RuntimeError):
        threading.Thread(target=process.wait, name=f"wait for {run.id}", daemon=True).start()


def _descriptors(claim: Claim) -> list[str]:
    training = [] if claim.training is None else ["--training-lock-fd", str(claim.training.descriptor)]
    return ["--lock-fd", str(claim.run.descriptor), *training]
