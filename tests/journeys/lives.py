"""The lives of one training run: started, ended in some way, resumed, compared with an undisturbed one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import training
from forgellm.storage.liveness import lock_path, read_control, state
from forgellm.storage.runs import run_folder
from tests.jobs.sample_worker import wait_for_end, wait_for_event

SPEC: Mapping[str, object] = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "domain",
    "learning_rate": 1e-3,
    "lora_dropout": 0.1,
    "grad_accumulation_steps": 2,
    "warmup_steps": 3,
    "batch_size": 4,
    "max_seq_length": 64,
    "max_iterations": 60,
    "eval_every": 10,
    "save_every": 20,
    "seed": 7,
}
"""A run of a few seconds with everything in it that a resumption could get wrong."""


def begin(forge: Forge, **values: object) -> tuple[Run, Path]:
    """Start a run of `SPEC`, overridden by `values`; the run and its folder."""
    run = training.start(forge, {**SPEC, **values})
    return run, run_folder(forge.workspace, run)


def reach(folder: Path, iteration: int) -> None:
    """Wait until the run has recorded that iteration."""
    event: Mapping[str, object] = {"seq": 0, "iteration": 0}
    while event["iteration"] < iteration:
        event = wait_for_event(folder, "train", after=event["seq"])


def pid_of(folder: Path) -> int:
    """The worker that holds the run's lock; only while it does."""
    return int(lock_path(folder).read_text())


def end_by(folder: Path, number: int) -> None:
    """Send the run's worker a signal and wait for its end."""
    os.kill(pid_of(folder), number)
    wait_for_end(folder)


@contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """The run's worker gets no further until it was told something, however long a command takes to start."""
    worker = pid_of(folder)
    os.kill(worker, signal.SIGSTOP)
    waker = threading.Thread(target=_wake, args=(folder, worker))
    waker.start()
    yield
    waker.join()


def _wake(folder: Path, worker: int) -> None:
    tick = threading.Event()
    for _ in range(6000):
        if read_control(folder) != "run":
            break
        tick.wait(0.01)
    os.kill(worker, signal.SIGCONT)


def go_on(forge: Forge, run: Run) -> RunState:
    """Resume the run, let it come to its end, and say which one."""
    folder = run_folder(forge.workspace, run)
    launcher.resume(forge.workspace, run, environment=forge.environment)
    wait_for_end(folder)
    return state(folder)


def command(
    workspace: Path, arguments: Sequence[str], *, environment: Mapping[str, str], **limits: int
) -> subprocess.CompletedProcess[str]:
    """`forgellm ARGUMENTS`, and every worker it starts, under limits such as `FSIZE=60_000` bytes."""

    def limit() -> None:
        for name, most in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))

    return subprocess.run(
        [sys.executable, "-m", "forgellm", *arguments],
        cwd=workspace,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
    )
