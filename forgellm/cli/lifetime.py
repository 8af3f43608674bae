"""How long a server's process runs: until it is told to end, or whoever started it has ended."""

from __future__ import annotations

import os
import signal
import threading
from typing import NoReturn

# A second is promised; what has not ended by then is not worth waiting for.
_SECONDS_TO_END = 0.8
SECONDS_UNNOTICED = 0.2
"""How long the main thread may sleep at a time, see `wait_until_told`."""


def end_when_told(lifeline: int | None) -> None:
    """From now on SIGTERM and Ctrl-C raise SystemExit(0) in the main thread, once.

    `lifeline` is the reading end of a pipe that only the parent process can write to: its end is the
    parent's end, however that came about.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    if lifeline is not None:
        threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()


def wait_until_told() -> NoReturn:
    """Sleep in the main thread until a signal raises SystemExit there.

    The system may give a signal to any thread and wakes that one alone, while handlers run in the main
    thread: asleep without an end, it would never learn of the signal.
    """
    asleep = threading.Event()
    while True:
        asleep.wait(SECONDS_UNNOTICED)


def _end(*_: object) -> None:
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)
    last_resort = threading.Timer(_SECONDS_TO_END, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()
    raise SystemExit(0)


def _watch(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
