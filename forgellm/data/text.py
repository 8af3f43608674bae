"""From the bytes of a user's file to text: UTF-8 with or without a byte order mark, any line ends."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SURROGATE = re.compile("[\ud800-\udfff]")

SAVE_AS_UTF8 = "Save the file as UTF-8."


def other_encoding(start: bytes) -> str | None:
    """The encoding that the first bytes of a file declare, where it is not UTF-8."""
    return next((name for bom, name in _BOMS if start.startswith(bom)), None)


def decode(data: bytes) -> str:
    """The text without byte order mark, lines ended by a line feed. Raises UnicodeDecodeError."""
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def unusable(text: str) -> str | None:
    """Why a text cannot be trained on: empty, a NUL, half a character; None where it can."""
    if not text.strip():
        return "is empty"
    if "\0" in text:
        return "has a NUL character"
    if _SURROGATE.search(text):
        return "has half a character (a lone surrogate)"
    return None
