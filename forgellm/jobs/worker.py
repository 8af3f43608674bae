"""`python -m forgellm.jobs.worker RUN_FOLDER`: one run in a process of its own.

It holds the run's lock, executes the job of the run's kind, has the last word in the events, and starts
the next pending run. The work itself is in `jobs.train`, `jobs.publish` and their like.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import cast

from forgellm.domain.device_failures import SAID, WAY_OUT_OF_A_RUN, kind_of
from forgellm.domain.errors import ForgeError, RunNotFound
from forgellm.domain.runs import Run, RunKind
from forgellm.jobs.claim import BEGUN, FRESH, Claim, begin
from forgellm.jobs.job import Job, Outcome, failure_values, utc_now
from forgellm.jobs.launcher import WORKER, launch_next
from forgellm.jobs.open_files import check_open_files
from forgellm.jobs.wakefulness import kept_awake
from forgellm.settings import read_settings, worker_environment
from forgellm.storage.events import EventLog, last_lifecycle_event
from forgellm.storage.files import HeldLock, storage_error, write_bytes
from forgellm.storage.liveness import CRASH_REPORT, Command, crash_report, read_control
from forgellm.storage.runs import read_run, workspace_of
from forgellm.storage.workspace import Workspace

JOBS: Mapping[RunKind, str] = {
    RunKind.CPT: "forgellm.jobs.train:train",
    RunKind.IFT: "forgellm.jobs.train:train",
    RunKind.PUBLISH: "forgellm.jobs.publish:publish",
    RunKind.QUANTIZE: "forgellm.jobs.quantize:quantize",
    RunKind.EXPORT: "forgellm.jobs.export:export",
    RunKind.EVALUATE: "forgellm.jobs.evaluate:evaluate",
    RunKind.PUSH: "forgellm.jobs.push:push",
}
"""Where the function of each kind is: named, not imported, so that importing it can fail as a run does."""

ON_HOSTS = "forgellm.jobs.hosts:train"
"""The same for a run that trains on several machines."""

Work = Callable[[Job], Outcome]

# MLX does not pass on why a write failed; a full disk is the usual reason.
_NOT_WRITTEN = "[write] Unable to write"
_LAST_WORDS_BYTES = 1 << 16


def main(
    arguments: Sequence[str],
    jobs: Mapping[RunKind, str] = JOBS,
    command: Sequence[str] = WORKER,
    *,
    awake: Callable[[], AbstractContextManager[None]] = kept_awake,
) -> int:
    """Execute the run whose folder is given, `awake` meanwhile; answers the exit status. `command` starts the
    next worker."""
    options = _parse(arguments)
    try:
        workspace, run = opened(options.folder.resolve())
        claim = _claim(workspace, run, options)
    except ForgeError as error:
        print(f"{error.message}. {error.suggestion}", file=sys.stderr)
        return 1
    control = Control(workspace.root / run.folder, "pause" if run.kind.trains else "stop")
    with awake():
        ending = _execute(workspace, run, jobs=jobs, control=control, claim=claim)
    claim.release()
    if not control.terminated:
        # After a signal the machine is wanted for something else, or goes down.
        launch_next(workspace, environment=worker_environment(), command=command)
    return 1 if ending == "failed" else 0


class Control:
    """What the job is to do: what the control file says, or `on_signal` once SIGTERM or SIGINT has come."""

    def __init__(self, folder: Path, on_signal: Command) -> None:
        self._folder = folder
        self._on_signal = on_signal
        self.terminated = False

    def listen(self) -> None:
        """Turn the two signals into a command from here on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._terminate)

    def __call__(self) -> Command:
        command = read_control(self._folder)
        return self._on_signal if self.terminated and command == "run" else command

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self.terminated = True


def _execute(
    workspace: Workspace, run: Run, *, jobs: Mapping[RunKind, str], control: Control, claim: Claim
) -> str:
    """Do the work and write the run's last event; answers its type."""
    folder = workspace.root / run.folder
    control.listen()
    with _crash_report(folder):
        job = job_of(workspace, run, control, locks=tuple(lock.descriptor for lock in claim.locks))
        with _reserved_room(folder):
            outcome = outcome_of(job, partial(_load, _work_of(run, jobs)))
        # Opened anew: where several machines train, the events between were written by another process.
        return _last_words(EventLog(folder, utc_now), outcome)


def job_of(
    workspace: Workspace, run: Run, control: Callable[[], Command], *, locks: tuple[int, ...] = ()
) -> Job:
    """The job of a run that has just been started or resumed."""
    folder = workspace.root / run.folder
    log = EventLog(folder, utc_now)
    started = last_lifecycle_event(folder)
    return Job(
        workspace=workspace,
        run=run,
        folder=folder,
        log=log,
        hub_cache=read_settings(workspace.root).hub_cache,
        control=control,
        clock=utc_now,
        resumed=started is not None and started.get("resume") is True,
        locks=locks,
    )


@contextmanager
def _reserved_room(folder: Path) -> Iterator[None]:
    """Hold a few blocks of the disk, so that a run which fills it can still say so."""
    reserve = folder / ".reserve"
    with suppress(ForgeError):
        # Where there is no room for this, the job itself will fail by name.
        write_bytes(reserve, bytes(_LAST_WORDS_BYTES))
    try:
        yield
    finally:
        reserve.unlink(missing_ok=True)


def _last_words(log: EventLog, outcome: Outcome) -> str:
    """Write the last event. Where there is no room for it the run counts as interrupted; the queue has to
    go on all the same."""
    try:
        log.append(outcome.type, **outcome.values)
    except ForgeError as error:
        print(f"{outcome.type}, but {error.message}", file=sys.stderr)
        return "failed"
    return outcome.type


def outcome_of(job: Job, load: Callable[[], Work]) -> Outcome:
    """How the work that `load` answers with ends, whatever it raises."""
    try:
        return load()(job)
    except ForgeError as error:
        return Outcome("failed", failure_values(error))
    except Exception as error:
        traceback.print_exc()
        return Outcome("failed", failure_values(_named(error, job.folder)))


def _work_of(run: Run, jobs: Mapping[RunKind, str]) -> str:
    return ON_HOSTS if run.kind.trains and run.spec.get("hosts") else jobs[run.kind]


def _load(name: str) -> Work:
    check_open_files()
    module, _, function = name.partition(":")
    return cast("Work", getattr(importlib.import_module(module), function))


def _named(error: Exception, folder: Path) -> ForgeError:
    """The named failure behind an exception of a library."""
    text = f"{type(error).__name__}: {error}"
    cause = OSError(errno.ENOSPC, text) if _NOT_WRITTEN in text else error
    known = storage_error(cause, folder) if isinstance(cause, OSError) else None
    if known is not None:
        return known
    kind = kind_of(error)
    if kind is not None:
        return kind(f"{SAID[kind]}: {text}", suggestion=WAY_OUT_OF_A_RUN[kind])
    return ForgeError(text, suggestion="worker.log in the run's folder shows where it happened.")


@contextmanager
def _crash_report(folder: Path) -> Iterator[None]:
    """A fault of native code writes its report into the run's folder; an orderly end leaves none."""
    report = folder / CRASH_REPORT
    with open(report, "wb") as file:
        file.write(crash_report(os.fstat(2).st_size))
        file.flush()
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
            report.unlink(missing_ok=True)


def opened(folder: Path) -> tuple[Workspace, Run]:
    """The run in a folder, and its workspace. Raises RunNotFound."""
    run = read_run(folder)
    if run is None:
        raise RunNotFound(
            f"{folder} is not the folder of a run", suggestion="Give the one with its run.json."
        )
    return workspace_of(folder), run


def _claim(workspace: Workspace, run: Run, options: argparse.Namespace) -> Claim:
    """The claim inherited from the launcher, or one taken here when the worker was started by hand."""
    if options.lock_fd is None:
        claim = begin(workspace, run, states=FRESH | BEGUN, clock=utc_now)
    else:
        training = options.training_lock_fd
        claim = Claim(HeldLock(options.lock_fd), None if training is None else HeldLock(training))
    claim.run.write(f"{os.getpid()}\n")
    return claim


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m forgellm.jobs.worker", description="Execute one run.")
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--lock-fd", type=int, help="descriptor of the run's lock, from the launcher")
    parser.add_argument("--training-lock-fd", type=int, help="descriptor of the training lock, likewise")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
