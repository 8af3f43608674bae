"""A worker whose jobs need no model: a run's spec says what its job does.

Run as a program, it is `forgellm.jobs.worker` with another table of jobs. Imported, it gives the tests the
command of that program and ways to wait for what it does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forgellm.domain.errors import Diverged, RunConflict
from forgellm.domain.runs import RunKind
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.launcher import stop
from forgellm.jobs.worker import main
from forgellm.storage.events import read_events
from forgellm.storage.files import HeldLock, atomic_path, exclusive
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace

COMMAND = (sys.executable, str(Path(__file__).resolve()))


def finish(job: Job) -> Outcome:
    """End at once."""
    return Outcome("completed", {"resumed": job.resumed, "hub_cache": str(job.hub_cache)})


def obey(job: Job) -> Outcome:
    """Run until told otherwise."""
    job.log.append("phase", phase="waiting", pid=os.getpid(), resumed=job.resumed, cwd=os.getcwd())
    tick = threading.Event()
    while (command := job.control()) == "run":
        tick.wait(0.01)
    job.log.append("stopping", command=command)
    return Outcome("paused" if command == "pause" else "stopped", {"iteration": 7})


def children(job: Job) -> Outcome:
    """Start a program that outlives this process, then run until told otherwise."""
    child = subprocess.Popen(["sleep", "300"], close_fds=False, start_new_session=True)
    job.log.append("phase", phase="child", child=child.pid)
    return obey(job)


def fault(job: Job) -> Outcome:
    """Die by the signal that the spec names."""
    print("about to die")
    os.kill(os.getpid(), int(str(job.run.spec["signal"])))
    return finish(job)


def refuse(job: Job) -> Outcome:
    """Fail with a named error."""
    raise Diverged(
        "the loss is not a number",
        details={"iteration": 3, "in": job.folder},
        suggestion="Lower learning_rate.",
    )


def stumble(job: Job) -> Outcome:
    """Fail with the exception that the spec names."""
    kinds: dict[str, type[Exception]] = {"RuntimeError": RuntimeError, "KeyError": KeyError}
    raise kinds[str(job.run.spec["exception"])](job.run.spec["text"])


def starve(job: Job) -> Outcome:
    """Ask for more memory than there is."""
    return Outcome("completed", {"length": len(bytearray(1 << 60))})


def fill(job: Job) -> Outcome:
    """Write a file under the size limit of `ulimit -f`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    with atomic_path(job.folder / "0000010_adapters.safetensors") as temporary:
        temporary.write_bytes(bytes(1_000_000))
    return finish(job)


def perform(job: Job) -> Outcome:
    """The job that the spec names."""
    performances: dict[object, Callable[[Job], Outcome]] = {
        act.__name__: act for act in (finish, obey, children, fault, refuse, stumble, starve, fill)
    }
    return performances[job.run.spec["act"]](job)


def wait_for_end(folder: Path) -> None:
    """Block until the run's worker has given its lock up."""
    with exclusive(lock_path(folder)):
        pass


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock; the system frees the locks of a killed process one after the other."""
    lock = HeldLock.acquire(path)
    if lock is not None:
        lock.release()
    return lock is not None


def end_all(workspace: Workspace) -> None:
    """Stop every run and wait until no worker is left."""
    folders = [run_folder(workspace, run) for run in list_runs(workspace)]
    # The last first: a run that ends starts the next one that waits.
    for run in reversed(list_runs(workspace)):
        # What is over already cannot be stopped.
        with suppress(RunConflict):
            stop(workspace, run)
    for folder in folders:
        wait_for_end(folder)


def wait_for_event(folder: Path, type: str, *, after: int = 0) -> dict[str, object]:
    """The first event of that type behind number `after`; fails after 30 seconds without one."""
    tick = threading.Event()
    for _ in range(3000):
        for event in read_events(folder, after=after):
            if event["type"] == type:
                return dict(event)
        tick.wait(0.01)
    raise AssertionError(f"no {type} event in {folder}: {read_events(folder)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], jobs=dict.fromkeys(RunKind, "__main__:perform"), command=COMMAND))
