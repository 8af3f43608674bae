"""A server as people start it: a process of its own, on a port that is free."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_pause = threading.Event()


@dataclass(frozen=True)
class Server:
    """`url` has no slash at its end."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.url + path, timeout=60, **options)

    def post(self, path: str, body: object = None, **options) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=120, **options)

    def delete(self, path: str) -> requests.Response:
        return requests.delete(self.url + path, timeout=60)

    def until(self, path: str, holds, *, seconds: float = 120) -> dict[str, object]:
        """The first answer for which `holds`; fails after `seconds`."""
        for _ in range(int(seconds / 0.2)):
            answer = self.get(path).json()
            if holds(answer):
                return answer
            _pause.wait(0.2)
        raise AssertionError(f"{path} did not come to that within {seconds} s: {answer}")


@contextmanager
def running_server(
    workspace: Path,
    environment: Mapping[str, str],
    *,
    port: int = 0,
    arguments: tuple[str, ...] = (),
    command: str = "web",
) -> Iterator[Server]:
    """`forgellm web`, or another command that serves, in that workspace until the block ends."""
    line = [sys.executable, "-m", "forgellm", command, "--port", str(port), "--workspace", str(workspace)]
    process = subprocess.Popen(
        [*line, *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=os.fspath(workspace),
    )
    try:
        yield Server(f"http://127.0.0.1:{_port(process)}", process)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def a_second() -> float:
    """One, or more where other programs share the processors: four times what a quarter of work takes."""
    began, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < 0.25:
        pass
    return max(1.0, 4 * (time.monotonic() - began))


def _port(process: subprocess.Popen[str]) -> int:
    for line in process.stdout:
        found = _ADDRESS.search(line)
        if found:
            return int(found[1])
    raise AssertionError(f"the server ended with exit code {process.wait(10)}")
