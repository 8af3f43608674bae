"""Waiting between two looks at a run, for views that answer once it has come to something."""

from __future__ import annotations

import threading
from collections.abc import Callable

_SECONDS = 0.1
LOOKS = 300
"""As many of them take half a minute."""


def between_looks() -> Callable[[], None]:
    """What waits a tenth of a second each time it is called."""
    pause = threading.Event()

    def wait() -> None:
        pause.wait(_SECONDS)

    return wait
