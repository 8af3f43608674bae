"""A .json file: an array of objects, an object that has one (`{"data": […]}`), one row, or JSON lines.

Read piece by piece, so that a file larger than memory is no matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from forgellm.data.problems import BadRow, Problem, kind_of, quoted
from forgellm.data.tables.jsonl import read_jsonl
from forgellm.data.tables.row import LONGEST_ROW, SHORTEN, TOO_LONG, Row
from forgellm.data.tables.utf8 import open_text, undecodable
from forgellm.data.text import SAVE_AS_UTF8

_OF_ONE_ROW = "messages conversations conversation prompt completion chosen rejected answers tools".split()
"""Lists that belong to a row: an object that has one is a row, not a file of rows."""

_MEND = "Mend the file, or leave it out."
_WHITE = re.compile("[ \t\r\n]*")


def read_json(path: Path, name: str) -> Iterator[Row | Problem]:
    """Every row. Behind a place that is not JSON nothing is read any more. Raises OSError."""
    with open_text(path) as file:
        stream = _Stream(file)
        try:
            if stream.peek() == "[":
                yield from _elements(stream, name)
            elif stream.whole_first_line():
                yield from read_jsonl(path, name)
                return
            while stream.peek() == "{":
                yield from _within(stream, name)
            stream.end()
        except BadRow as bad:
            yield bad.at(name, stream.line)


class _Unusable(BadRow):
    """A value that is whole but cannot be used; what comes after it can be read."""


class _Stream:
    """JSON values one after another out of a file, of which only the part in hand is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self.line = 1

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            start, self._at = self._at, _past_white(self._text, self._at)
            self.line += self._text.count("\n", start, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        """Go past one character. Raises BadRow where another one comes."""
        found = self.peek()
        if found != wanted:
            said = f"{found!r} stands" if found else "the file ends"
            raise BadRow(f"is not JSON: {said} where {wanted!r} should come", _MEND)
        self._at += 1

    def value(self) -> object:
        """The next value, whole. Raises BadRow."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise BadRow("is not JSON that can be read: too deeply nested") from error
            except ValueError as error:
                # Perhaps only because the rest of it is not here yet.
                if len(self._text) - self._at > LONGEST_ROW:
                    raise BadRow(f"{TOO_LONG}, or is not JSON", SHORTEN) from error
                if self._more():
                    continue
                raise BadRow(f"is not JSON: {_said(error)}", _MEND) from error
            if end < len(self._text) or not self._more():
                return self._past(value, end)

    def at_objects(self) -> bool:
        """Whether an array comes next whose first element is an object."""
        if self.peek() != "[":
            return False
        while (at := _past_white(self._text, self._at + 1)) == len(self._text) and self._more():
            pass
        return self._text[at : at + 1] == "{"

    def end(self) -> None:
        """Raises BadRow where more follows."""
        if found := self.peek():
            raise BadRow(f"is not JSON: {found!r} stands behind its end", _MEND)

    def whole_first_line(self) -> bool:
        """Whether a value ends on the line that it began on and another one begins below it."""
        self.peek()
        first, newline, rest = self._text[self._at :].partition("\n")
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            return False
        return bool(newline) and rest.lstrip().startswith("{")

    def _past(self, value: object, end: int) -> object:
        piece = self._text[self._at : end]
        self._at = end
        self.line += piece.count("\n")
        if len(piece) > LONGEST_ROW:
            raise _Unusable(TOO_LONG, SHORTEN)
        if (reason := undecodable(piece)) is not None:
            raise _Unusable(reason, SAVE_AS_UTF8)
        return value

    def _more(self) -> bool:
        """Read on, by as much as there is already, so that a long value is not parsed too often."""
        piece = self._file.read(max(1 << 16, len(self._text) - self._at))
        if not piece:
            return False
        self._text = self._text[self._at :] + piece
        self._at = 0
        return True


def _past_white(text: str, at: int) -> int:
    found = _WHITE.match(text, at)
    return at if found is None else found.end()


def _elements(stream: _Stream, name: str) -> Iterator[Row | Problem]:
    """The rows of an array, from its bracket to its end."""
    stream.take("[")
    while stream.peek() != "]":
        line = stream.line
        yield _row(stream, name, line=line)
        if stream.peek() != "]":
            stream.take(",")
    stream.take("]")


def _row(stream: _Stream, name: str, *, line: int) -> Row | Problem:
    try:
        value = stream.value()
    except _Unusable as bad:
        return bad.at(name, line)
    if isinstance(value, dict):
        return Row(value, name, line)
    return Problem(name, line, f"is {kind_of(value)}, not an object", "Write an array of objects.")


def _within(stream: _Stream, name: str) -> Iterator[Row | Problem]:
    """The rows of the array in an object; the object itself, as one row, where it has none."""
    line = stream.line
    values: dict[str, object] = {}
    found: str | None = None
    stream.take("{")
    while stream.peek() != "}":
        key = str(stream.value())
        stream.take(":")
        if key in _OF_ONE_ROW or not stream.at_objects():
            values[key] = stream.value()
        elif found is None:
            found = key
            yield from _elements(stream, name)
        else:
            reason = f"has more than one list of rows: {quoted(found)} and {quoted(key)}"
            raise BadRow(reason, "Make a file of each, such as train.json and valid.json.")
        if stream.peek() != "}":
            stream.take(",")
    stream.take("}")
    if found is None:
        yield Row(values, name, line)


def _said(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number has too many digits"
