"""Ctrl-C while something runs that it must not cut short."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """A Ctrl-C inside the block raises KeyboardInterrupt at its end.

    For imports: where one is raised within `exec` of a text, as dataclasses do, CPython notes it for good and
    ends by SIGINT whatever caught it (`run_eval_code_obj` sets `unhandled_keyboard_interrupt`).
    """
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
