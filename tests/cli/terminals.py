"""A terminal of its own for a command, at which a test types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

CTRL_C, CTRL_D = "\x03", "\x04"

# What readline says to the terminal itself.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """Runs `command` at a terminal of its own until the block ends."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._own, theirs = pty.openpty()
        self.seen = ""
        """All that was shown and not yet waited for."""
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_sit_down,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._own, text.encode())

    def say(self, line: str) -> None:
        """Enter a line."""
        self.type(line + "\n")

    def until(self, words: str, *, seconds: float = 60) -> str:
        """What was shown up to `words`, with them; fails where they do not come."""
        end = time.monotonic() + seconds
        while words not in self.seen:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{words!r} was not shown:\n{self.seen}")
        at = self.seen.index(words) + len(words)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def press_until(self, key: str, words: str) -> str:
        """Press it, again where nothing comes of it: Python may overlook a Ctrl-C while it reads keys."""
        for _ in range(30):
            self.type(key)
            end = time.monotonic() + 2
            while words not in self.seen and self._read(end - time.monotonic()):
                pass
            if words in self.seen:
                break
        return self.until(words, seconds=0)

    def end(self, *, seconds: float = 20) -> int:
        """The exit code, once it has ended; what it still showed is in `seen`."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._own], [], [], max(0.0, seconds))
        try:
            data = os.read(self._own, 1 << 16) if ready else b""
        except OSError:
            # On Linux the end of the other side is an error.
            return False
        self.seen += _CONTROL.sub("", data.decode(errors="replace"))
        return bool(data)


def _sit_down() -> None:
    """Make the terminal the one that keys are pressed at."""
    # A shell that runs the tests in the background has its children ignore Ctrl-C; this one must not.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
