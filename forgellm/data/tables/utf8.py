"""Text files opened as UTF-8 whose other bytes are kept apart, so that they can be named where they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TextIO

_KEPT_APART = re.compile("[\udc80-\udcff]")


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """A file as text without its byte order mark; a byte that is not UTF-8 becomes half a character."""
    return open(path, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def undecodable(text: str) -> str | None:
    """Which byte in a text from `open_text` was not UTF-8, in words; None where all were."""
    found = _KEPT_APART.search(text)
    return None if found is None else f"is not UTF-8: byte 0x{ord(found.group()) - 0xDC00:02x}"
