"""Whether somebody sits at a terminal."""

from __future__ import annotations

import sys


def has_terminal() -> bool:
    """Whether someone can be asked; a closed stream is None in Python."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
