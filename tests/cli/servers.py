"""Reading what server commands say, and looking after their processes."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import psutil
import pytest

TOKEN = "correct-horse-battery"

_ADDRESS = re.compile(r"(ForgeLLM|The model server) is at http://127\.0\.0\.1:(\d+)\n")


def read_address(process: subprocess.Popen[str], name: str = "ForgeLLM") -> int:
    """The port that the process names for that server; fails where it ends before."""
    for line in process.stdout:
        found = _ADDRESS.fullmatch(line)
        if found and found[1] == name:
            return int(found[2])
    pytest.fail(f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")


def read_addresses(process: subprocess.Popen[str]) -> tuple[int, int]:
    """The ports of the web server and of the model server, whichever is ready first."""
    found: dict[str, int] = {}
    for line in process.stdout:
        match = _ADDRESS.fullmatch(line)
        if match:
            found[match[1]] = int(match[2])
        if len(found) == 2:
            return found["ForgeLLM"], found["The model server"]
    pytest.fail(f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")


def child_of(process: subprocess.Popen[str], command: str = "web") -> psutil.Process:
    """The process of a `forgellm start` that runs this server."""
    (child,) = (child for child in children_of(process) if command in child.cmdline())
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
