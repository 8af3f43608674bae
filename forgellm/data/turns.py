"""Lists of turns to messages: OpenAI's role and content, ShareGPT's from and value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from forgellm.data.problems import BadRow, kind_of, likely, quoted
from forgellm.data.text import unusable
from forgellm.domain.chat import Message

ROLES = ("system", "user", "assistant")
_OPENAI = {**{role: role for role in ROLES}, "developer": "system"}
_SHAREGPT = {
    "system": "system",
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot"), "assistant"),
}

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def listed(value: object, name: str) -> list[object]:
    """A list, which a cell of a CSV file holds as JSON. Raises BadRow."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(f"{quoted(name)} looks like a list and is not JSON") from error
    if not isinstance(value, list):
        raise BadRow(f"{quoted(name)} is {kind_of(value)}, not a list")
    return value


def messages_of(value: object, name: str) -> tuple[Message, ...]:
    """The messages of a list with role and content, or with from and value. Raises BadRow.

    An empty system message, which many datasets have, says nothing and is left out.
    """
    found = [_message(item, number) for number, item in enumerate(listed(value, name), 1)]
    return tuple(message for message in found if message is not None)


def conversation(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages up to the last answer: what follows it teaches nothing. Raises BadRow without one."""
    answers = [number for number, message in enumerate(messages, 1) if message.role == "assistant"]
    if not answers:
        raise BadRow("has no assistant message, so there is nothing to learn")
    return tuple(messages[: answers[-1]])


def with_system(
    messages: tuple[Message, ...], values: Mapping[str, object], column: str | None
) -> tuple[Message, ...]:
    """The messages with what a column says before them, where it says something. Raises BadRow."""
    if column is None or values.get(column) in (None, "") or messages[0].role == "system":
        return messages
    return (Message("system", text_in(values, column)), *messages)


def text_in(values: Mapping[str, object], column: str) -> str:
    """The text in a column. Raises BadRow."""
    if column not in values:
        like = likely(column, values)
        hint = (f"Did you mean {quoted(column)} by {like!r}?",) if like else ()
        raise BadRow(f"{quoted(column)} is missing", *hint)
    value = values[column]
    if not isinstance(value, str):
        raise BadRow(f"{quoted(column)} is {kind_of(value)}, not text")
    reason = unusable(value)
    if reason is not None:
        raise BadRow(f"{quoted(column)} {reason}")
    return value


def _message(item: object, number: int) -> Message | None:
    if not isinstance(item, dict):
        raise BadRow(f"message {number} is {kind_of(item)}, not an object with role and content")
    sharegpt = "from" in item and "role" not in item
    speaker, said = ("from", "value") if sharegpt else ("role", "content")
    roles = _SHAREGPT if sharegpt else _OPENAI
    named = item.get(speaker)
    role = roles.get(named) if isinstance(named, str) else None
    if role is None:
        word = "the role" if speaker == "role" else "'from'"
        raise BadRow(f"message {number} has {word} {quoted(named)}", f"Known are {', '.join(roles)}.")
    if role == "system" and item.get(said) in ("", None):
        return None
    try:
        content = _content(item, said)
        return Message(role, _thought(item, content) + content if role == "assistant" else content)
    except BadRow as bad:
        raise BadRow(f"message {number}: {bad.reason}", bad.suggestion) from bad


def _thought(item: Mapping[str, object], content: str) -> str:
    """What was thought before an answer and is kept beside it, as templates that know thinking write it."""
    found = (item.get(key) for key in _THOUGHTS)
    thought = next((one.strip() for one in found if isinstance(one, str) and one.strip()), "")
    return f"<think>\n{thought}\n</think>\n\n" if thought and "</think>" not in content else ""


def _content(item: Mapping[str, object], key: str) -> str:
    if item.get("tool_calls") or item.get("function_call"):
        raise BadRow("calls a tool, which cannot be trained on", "Leave the row out, or write it as text.")
    if item.get("weight") == 0:
        raise BadRow("has the weight 0, and every answer is learned", "Leave the row out, or the weight.")
    parts = item.get(key)
    if not isinstance(parts, list):
        return text_in(item, key)
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        raise BadRow(f"{key!r} holds more than text", "Only text can be trained on.")
    return text_in({key: "".join(text_in(part, "text") for part in parts)}, key)
