"""Calls of functions in an answer: between the model's own markers, or an answer that is JSON as a whole.

What cannot be read as a call is text, so that nothing is lost. Where the markers stand is found in `answers`.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any

from forgellm.domain.chat import ToolCall

# Mistral's templates refuse any other form; the rest take all.
_ID_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 9
_PYTHON_TAG = "<|python_tag|>"


class MarkedCalls:
    """What stood between the markers of `tokenizer` (mlx-lm's wrapper). Without `tools` nothing is a call."""

    def __init__(self, tokenizer: Any, tools: Sequence[Mapping[str, object]]) -> None:
        self._tokenizer = tokenizer
        self._tools = list(tools)
        self._texts: list[tuple[str, bool]] = []
        self._inside = False

    def add(self, part: str) -> None:
        """More of the call that is open, or the beginning of another one."""
        before = self._texts.pop()[0] if self._inside else ""
        self._texts.append((before + part, False))
        self._inside = True

    def close(self) -> None:
        """The end marker has come, if a call was open."""
        if self._inside:
            self._texts[-1] = (self._texts[-1][0], True)
            self._inside = False

    def read(self) -> tuple[str, list[ToolCall]]:
        """(what is none, as the model wrote it, the calls)."""
        unread, calls = "", []
        for text, closed in self._texts:
            found = self._parsed(text) if self._tools else []
            calls += found
            if not found:
                end = self._tokenizer.tool_call_end if closed else ""
                unread += f"{self._tokenizer.tool_call_start}{text}{end}"
        return unread, calls

    def _parsed(self, text: str) -> list[ToolCall]:
        try:
            found = self._tokenizer.tool_parser(text, self._tools)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            # The parsers of mlx-lm fail in many ways on a call that was cut off.
            return []
        return _calls(found if isinstance(found, list) else [found])


class BareCalls:
    """Holds back an answer that begins like a call: JSON without markers, as Llama 3 calls its `tools`."""

    def __init__(self, tools: Sequence[Mapping[str, object]]) -> None:
        self._names = {_name(tool) for tool in tools}
        self._held = ""
        self._may_be = bool(tools)

    def feed(self, text: str) -> str:
        """What is text for certain."""
        self._held += text
        begin = self._held.lstrip()
        if self._may_be and (begin.startswith("{") or _PYTHON_TAG.startswith(begin[: len(_PYTHON_TAG)])):
            return ""
        self._may_be = False
        certain, self._held = self._held, ""
        return certain

    def read(self) -> tuple[str, list[ToolCall]]:
        """(the text that was held back and is no call, the calls)."""
        try:
            calls = _calls(_values(self._held.strip().removeprefix(_PYTHON_TAG)))
        except (ValueError, RecursionError):
            calls = []
        known = bool(calls) and all(call.name in self._names for call in calls)
        return ("", calls) if known else (self._held, [])


def _values(text: str) -> list[object]:
    """The JSON values of `text`, one behind the other or parted by semicolons. Raises ValueError."""
    found: list[object] = []
    while text := text.lstrip("; \n"):
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def _calls(values: Sequence[object]) -> list[ToolCall]:
    """Empty unless each of `values` is a call."""
    calls = [_call(value) for value in values if isinstance(value, Mapping) and value.get("name")]
    return calls if len(calls) == len(values) else []


def _call(value: Mapping[str, Any]) -> ToolCall:
    arguments = value.get("arguments", value.get("parameters", {}))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    made = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    return ToolCall(made, str(value["name"]), text)


def _name(tool: Mapping[str, object]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else None
