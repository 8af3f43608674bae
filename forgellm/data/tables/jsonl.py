"""JSON lines: one object on each. Blank lines, a byte order mark and Windows line ends are harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from forgellm.data.problems import BadRow, Problem, kind_of
from forgellm.data.tables.row import LONGEST_ROW, SHORTEN, TOO_LONG, Row
from forgellm.data.text import SAVE_AS_UTF8, decode

_ONE_OBJECT = 'Write one JSON object on each line, such as {"prompt": "…", "completion": "…"}.'


def read_jsonl(path: Path, name: str) -> Iterator[Row | Problem]:
    """Every line that is not blank. A file that is one array is refused as a whole. Raises OSError."""
    with open(path, "rb") as file:
        start = file.read(4096)
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            suggestion = f"Call the file .json, or: {_ONE_OBJECT} `jq -c '.[]'` turns an array into lines."
            yield Problem(name, 1, "is a JSON array, not one object on each line", suggestion)
            return
        file.seek(0)
        number = 0
        while line := file.readline(LONGEST_ROW + 1):
            number += 1
            if len(line) > LONGEST_ROW:
                _skip_rest_of_line(file)
                yield Problem(name, number, TOO_LONG, SHORTEN)
            elif (found := _read_line(line, name, number=number)) is not None:
                yield found


def parse_object(text: str) -> Mapping[str, object]:
    """The object that a text holds. Raises BadRow where it holds anything else."""
    if "\0" in text:
        raise BadRow("has a NUL character", "Remove it; the file may be UTF-16 or damaged.")
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        # Some of Python's messages end in "at".
        reason = error.msg.removesuffix(" at")
        raise BadRow(f"is not JSON: {reason} at column {error.colno}", _ONE_OBJECT) from error
    except (RecursionError, ValueError) as error:
        # Nesting deeper than the parser goes, or a number of thousands of digits.
        raise BadRow("is not JSON that can be read: too deeply nested, or a number too long") from error
    if not isinstance(row, dict):
        raise BadRow(f"is {kind_of(row)}, not an object", _ONE_OBJECT)
    return row


def _read_line(line: bytes, name: str, *, number: int) -> Row | Problem | None:
    try:
        text = decode(line)
        return Row(parse_object(text), name, number) if text.strip() else None
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8: byte 0x{error.object[error.start]:02x} at column {error.start + 1}"
        return Problem(name, number, reason, SAVE_AS_UTF8)
    except BadRow as bad:
        return bad.at(name, number)


def _skip_rest_of_line(file: BinaryIO) -> None:
    while (piece := file.readline(LONGEST_ROW)) and not piece.endswith(b"\n"):
        pass
