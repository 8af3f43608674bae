"""Reading lines at a terminal: editing, history and completion by the standard library's readline.

macOS brings libedit under the same name, and some builds of Python bring neither; all of them work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

try:
    import readline as _found
except ImportError:
    _readline: ModuleType | None = None
else:
    _readline = _found

_LINES_KEPT = 1000


@contextmanager
def line_editing(history: Path, words: Sequence[str]) -> Iterator[None]:
    """While the block runs, lines can be edited, earlier ones come back, and Tab completes `words`."""
    if _readline is None:
        yield
        return
    # libedit refuses what GNU readline wrote, and the other way round: then the history begins anew.
    with suppress(OSError):
        _readline.read_history_file(history)
    _readline.set_history_length(_LINES_KEPT)
    _readline.set_completer_delims(" \n")
    _readline.set_completer(_completer(words))
    is_libedit = "libedit" in (_readline.__doc__ or "")
    _readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    try:
        yield
    finally:
        with suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            # What was asked is nobody else's business.
            os.close(os.open(history, os.O_WRONLY | os.O_CREAT, 0o600))
            _readline.write_history_file(history)


def read_line(prompt: str, *, prefill: str = "") -> str:
    """One line, beginning with `prefill` where lines can be edited. Raises EOFError, KeyboardInterrupt."""
    if _readline is None or not prefill:
        return input(prompt)
    editor = _readline
    editor.set_startup_hook(lambda: editor.insert_text(prefill))
    try:
        return input(prompt)
    finally:
        editor.set_startup_hook(None)


def _completer(words: Sequence[str]) -> Callable[[str, int], str | None]:
    def complete(text: str, state: int) -> str | None:
        fitting = [word for word in words if text and word.startswith(text)]
        return fitting[state] if state < len(fitting) else None

    return complete
