"""The command as people run it: a process of its own in a workspace."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from forgellm.jobs import launcher
from forgellm.storage.liveness import is_alive
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace

COMMAND = [sys.executable, "-m", "forgellm"]

SHORT_CPT = [
    *("train", "--model-name", "models/base/tiny", "--training-type", "cpt", "--dataset", "domain"),
    *("--max-seq-length", "64", "--learning-rate", "1e-3", "--batch-size", "4"),
]
"""A run of some seconds; the number of iterations is to be added."""

Forgellm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def forgellm(workspace: Workspace, worker_environment: dict[str, str]) -> Iterator[Forgellm]:
    """Runs `forgellm ARGS` in the workspace to its end; its output is text, standard input is empty."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=workspace.root,
            env=worker_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )

    yield run
    for left in list_runs(workspace):
        if is_alive(run_folder(workspace, left)):
            launcher.stop(workspace, left)


@pytest.fixture
def started(workspace: Workspace, worker_environment: dict[str, str]):
    """Starts `forgellm ARGS` in the workspace without waiting; its lines can be read as they come."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=workspace.root,
            env=worker_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def heed_interrupts() -> None:
    """A shell that runs the tests in the background has its children ignore Ctrl-C; these must not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines up to the one that contains `words`; fails where the output ends before."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    pytest.fail(f"{words!r} was not said:\n" + "".join(lines))
