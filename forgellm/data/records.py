"""JSON lines to examples: the shapes messages, prompt/completion and instruction/input/output.

Every row is checked; a bad one becomes a `Problem` with file, line and reason. Blank lines, a byte order
mark and Windows line ends are harmless. Extra keys are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forgellm.data.files import misplaced
from forgellm.data.problems import Problem
from forgellm.data.text import SAVE_AS_UTF8, decode, other_encoding, unusable
from forgellm.domain.chat import Message
from forgellm.domain.errors import nearest

ROLES = ("system", "user", "assistant")
LONGEST_LINE = 16 * 2**20
"""Bytes. No model has a context that long, so such a line is a mistake and is not read into memory."""

_ONE_OBJECT = 'Write one JSON object on each line, such as {"prompt": "…", "completion": "…"}.'
_SHAPES = "Give messages, or prompt and completion, or instruction (with input) and output."


@dataclass(frozen=True)
class Example:
    """One conversation that ends with an assistant's turn, and where it was read."""

    messages: tuple[Message, ...]
    file: str
    line: int


@dataclass(frozen=True)
class Preference:
    """What was asked, an answer that was preferred, and one that was not; each ends what `prompt` begins."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    file: str
    line: int


class _BadRow(Exception):
    """Why a row cannot be used; never leaves this module."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion


def read_examples(files: Iterable[Path]) -> tuple[list[Example], list[Problem]]:
    """Every example and every problem of the files, in order. A file is named `DATASET/FILE`."""
    examples: list[Example] = []
    problems: list[Problem] = []
    for path in files:
        for found in _read_file(path, f"{path.parent.name}/{path.name}"):
            if isinstance(found, Example):
                examples.append(found)
            else:
                problems.append(found)
    return examples, problems


def _read_file(path: Path, name: str) -> Iterator[Example | Problem]:
    reason = misplaced(path, path.parent)
    if reason is not None:
        yield Problem(name, None, reason, "Copy the file itself into the dataset.")
        return
    try:
        start = _first_bytes(path)
    except OSError as error:
        yield Problem(name, None, f"cannot be read: {error.strerror}")
        return
    encoding = other_encoding(start)
    if encoding is not None:
        yield Problem(name, None, f"is {encoding}, not UTF-8", SAVE_AS_UTF8)
    elif start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        suggestion = f"{_ONE_OBJECT} `jq -c '.[]'` turns an array into lines."
        yield Problem(name, 1, "is a JSON array, not one object on each line", suggestion)
    else:
        yield from _read_lines(path, name)


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def _read_lines(path: Path, name: str) -> Iterator[Example | Problem]:
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                _skip_rest_of_line(file)
                reason = f"is longer than {LONGEST_LINE >> 20} MiB"
                yield Problem(name, number, reason, "Shorten or split it.")
                continue
            found = _read_line(line, name, line_number=number)
            if found is not None:
                yield found


def _skip_rest_of_line(file: BinaryIO) -> None:
    while (piece := file.readline(LONGEST_LINE)) and not piece.endswith(b"\n"):
        pass


def _read_line(line: bytes, name: str, *, line_number: int) -> Example | Problem | None:
    try:
        text = decode(line)
        if not text.strip():
            return None
        return Example(_messages(_parse(text)), name, line_number)
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8: byte 0x{error.object[error.start]:02x} at column {error.start + 1}"
        return Problem(name, line_number, reason, SAVE_AS_UTF8)
    except _BadRow as bad:
        return Problem(name, line_number, bad.reason, bad.suggestion)


def _parse(text: str) -> Mapping[str, object]:
    if "\0" in text:
        raise _BadRow("has a NUL character", "Remove it; the file may be UTF-16 or damaged.")
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise _BadRow(f"is not JSON: {error.msg} at column {error.colno}", _ONE_OBJECT) from error
    except (RecursionError, ValueError) as error:
        # Nesting deeper than the parser goes, or a number of thousands of digits.
        raise _BadRow("is not JSON that can be read: too deeply nested, or a number too long") from error
    if not isinstance(row, dict):
        raise _BadRow(f"is {_kind(row)}, not an object", _ONE_OBJECT)
    return row


def _messages(row: Mapping[str, object]) -> tuple[Message, ...]:
    if "messages" in row:
        return _conversation(row["messages"])
    if "prompt" in row or "completion" in row:
        return _pair(_text(row, "prompt"), _text(row, "completion"))
    if "instruction" in row or "output" in row:
        return _pair(_instruction(row), _text(row, "output"))
    keys = ", ".join(map(repr, list(row)[:5])) or "none"
    near = next((n for n in (nearest(k, _KNOWN_KEYS) for k in row) if n), None)
    hint = f" Did you mean {near!r}?" if near else ""
    raise _BadRow(f"has none of the known keys (it has {ascii(keys)[1:-1]})", _SHAPES + hint)


_KNOWN_KEYS = ("messages", "prompt", "completion", "instruction", "output")


def _instruction(row: Mapping[str, object]) -> str:
    """The instruction, and below it the input where there is one (Alpaca rows have `"input": ""`)."""
    instruction = _text(row, "instruction")
    if row.get("input") in (None, ""):
        return instruction
    return f"{instruction}\n\n{_text(row, 'input')}"


def _pair(question: str, answer: str) -> tuple[Message, ...]:
    return Message("user", question), Message("assistant", answer)


def _conversation(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise _BadRow(f"'messages' is {_kind(value)}, not a list")
    messages = [_message(item, n) for n, item in enumerate(value, 1)]
    kept = [message for message in messages if message is not None]
    answers = [n for n, message in enumerate(kept) if message.role == "assistant"]
    if not answers:
        raise _BadRow("has no assistant message, so there is nothing to learn")
    # What follows the last answer teaches nothing.
    return tuple(kept[: answers[-1] + 1])


def _message(item: object, number: int) -> Message | None:
    """One message; None for an empty system message, which many datasets have and which says nothing."""
    if not isinstance(item, dict):
        raise _BadRow(f"message {number} is {_kind(item)}, not an object with role and content")
    role = item.get("role")
    if role not in ROLES:
        raise _BadRow(f"message {number} has the role {role!a}", f"Roles are {', '.join(ROLES)}.")
    if role == "system" and item.get("content") == "":
        return None
    try:
        return Message(role, _text(item, "content"))
    except _BadRow as bad:
        raise _BadRow(f"message {number}: {bad.reason}", bad.suggestion) from bad


def _text(row: Mapping[str, object], key: str) -> str:
    if key not in row:
        near = nearest(key, (k for k in row if k not in _KNOWN_KEYS))
        raise _BadRow(f"{key!r} is missing", f"Did you mean {key!r} by {near!r}?" if near else _SHAPES)
    value = row[key]
    if not isinstance(value, str):
        raise _BadRow(f"{key!r} is {_kind(value)}, not text")
    reason = unusable(value)
    if reason is not None:
        raise _BadRow(f"{key!r} {reason}")
    return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "an array"
    return "an object" if isinstance(value, dict) else "a number"
