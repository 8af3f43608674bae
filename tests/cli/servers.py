"""Reading what server commands say, and looking after their processes."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import psutil
import pytest

TOKEN = "correct-horse-battery"

_ADDRESS = re.compile(r"ForgeLLM is at http://127\.0\.0\.1:(\d+)\n")


def read_address(process: subprocess.Popen[str]) -> int:
    """The port that the process names; fails where it ends before."""
    for line in process.stdout:
        found = _ADDRESS.fullmatch(line)
        if found:
            return int(found[1])
    pytest.fail(f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")


def child_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The one server process of a `forgellm start`."""
    (child,) = children_of(process)
    return child


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The server processes that a `forgellm start` has at this moment."""
    return psutil.Process(process.pid).children()


def is_gone(process: psutil.Process, *, within: float) -> bool:
    """Whether it has ended after at most so many seconds."""
    tick, deadline = threading.Event(), time.monotonic() + within
    while not _has_ended(process):
        if time.monotonic() > deadline:
            return False
        tick.wait(0.01)
    return True


def _has_ended(process: psutil.Process) -> bool:
    try:
        # A container's first process may not look after the children of the dead.
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
