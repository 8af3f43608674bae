"""`python -m forgellm.jobs.lifeline DESCRIPTOR ARGUMENTS`: mlx.launch, which ends with whoever started it.

mlx.launch alone would outlive a worker that is killed, and go on training for nobody. Started in a process
group of its own, it is ended here with all that it started on this machine as soon as nobody holds the other
end of the pipe; with its ssh connections their processes on other machines end too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import cast


def main(arguments: Sequence[str]) -> None:
    """Run mlx.launch with all arguments but the first, the descriptor of the pipe."""
    threading.Thread(target=_end_with, args=(int(arguments[0]),), name="lifeline", daemon=True).start()
    (command,) = entry_points(group="console_scripts", name="mlx.launch")
    sys.argv = ["mlx.launch", *arguments[1:]]
    cast("Callable[[], None]", command.load())()


def _end_with(descriptor: int) -> None:
    os.read(descriptor, 1)
    # Only a group of our own may be ended.
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
