"""Keeping a Mac awake while a run or a download goes on: a laptop that falls asleep stops computing.

Linux machines that compute do not fall asleep by themselves; nothing is done there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Not -d: with the display kept on, the watchdog of the GPU ends long computations (mlx issue 3267).
# With -w it ends by itself when the process that wants it is killed.
_CAFFEINATE = ("/usr/bin/caffeinate", "-i", "-s", "-w")


@contextmanager
def kept_awake(command: Sequence[str] = _CAFFEINATE, *, system: str = sys.platform) -> Iterator[None]:
    """The machine does not fall asleep inside the block, or standard error says that it may."""
    if system != "darwin":
        yield
        return
    try:
        process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        print(f"the machine may fall asleep meanwhile: {command[0]}: {error.strerror}", file=sys.stderr)
        yield
        return
    try:
        yield
    finally:
        # Nothing that it could be late with may cost a run its end.
        process.kill()
        process.wait()
