"""A bound on what a process may take of the memory, for those that read what came from anywhere.

Time is not bounded here: whoever starts such a process ends it when its time is over.
"""

from __future__ import annotations

import resource
from contextlib import suppress


def bound_memory(most: int) -> None:
    """Let this process have no more than `most` bytes of addresses, where the system has such a limit.

    macOS has none: since version 12 it refuses to set any that is less than what a process has mapped when it
    starts, some 400 GB on Apple Silicon. Nor can a limit be raised that a stricter one precedes.
    """
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
