"""A row of a known shape to the messages of an example, or to a text. Raises BadRow where it cannot be."""

from __future__ import annotations

from collections.abc import Mapping

from forgellm.data.problems import BadRow, kind_of, likely, quoted
from forgellm.data.recognition import Match
from forgellm.data.turns import conversation, messages_of, text_in, with_system
from forgellm.domain.chat import Message

SUMMARISE = "Summarise the following text."
"""Stands before each document of the shape document_summary, because a model must be told what is wanted."""

Values = Mapping[str, object]
Columns = Mapping[str, str]


def messages_in(values: Values, found: Match) -> tuple[Message, ...]:
    """The conversation in a row of any shape of examples; it ends with an assistant's turn. Raises BadRow."""
    columns = dict(found.columns)
    listed = columns.get("messages") or columns.get("conversations")
    if listed is not None:
        messages = conversation(messages_of(values.get(listed), listed))
    elif found.shape == "prompt_completion":
        messages = _completed(values, columns["prompt"], columns["completion"])
    else:
        question, answer = _pair(values, found.shape, columns)
        messages = (Message("user", question), Message("assistant", answer))
    return with_system(messages, values, columns.get("system"))


def check_whole(values: Values, found: Match) -> None:
    """Raises BadRow where a part of the shape has no column in the row."""
    if not found.missing:
        return
    part = found.missing[0]
    used = {column for _, column in found.columns}
    near = likely(part, (column for column in values if column not in used))
    hint = f"Did you mean {part!r} by {near!r}?" if near else f"Rows of the shape {found.shape} have it."
    raise BadRow(f"{part!r} is missing", hint)


def _pair(values: Values, shape: str, columns: Columns) -> tuple[str, str]:
    """What is asked and what is answered."""
    if shape == "alpaca":
        more = _optional(values, columns.get("input"))
        asked = text_in(values, columns["instruction"])
        return f"{asked}\n\n{more}" if more else asked, text_in(values, columns["output"])
    if shape == "question_answer":
        context = _optional(values, columns.get("context"))
        asked = text_in(values, columns["question"])
        return f"{context}\n\n{asked}" if context else asked, _answer(values, columns["answer"])
    document = text_in(values, columns["document"])
    return f"{SUMMARISE}\n\n{document}", text_in(values, columns["summary"])


def _completed(values: Values, prompt: str, completion: str) -> tuple[Message, ...]:
    """Either part may be a list of messages, as TRL writes them."""
    asked = _spoken(values, prompt, role="user")
    return conversation((*asked, *_spoken(values, completion, role="assistant")))


def _spoken(values: Values, column: str, *, role: str) -> tuple[Message, ...]:
    value = values.get(column)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return messages_of(value, column)
    return (Message(role, text_in(values, column)),)


def _optional(values: Values, column: str | None) -> str:
    if column is None or values.get(column) in (None, ""):
        return ""
    return text_in(values, column)


def _answer(values: Values, column: str) -> str:
    """A text, or the first of several, which SQuAD keeps as `{"text": […]}`."""
    value = values.get(column)
    several = value.get("text") if isinstance(value, dict) else value
    if not isinstance(several, list):
        return text_in(values, column)
    if not several:
        raise BadRow(f"{quoted(column)} has no answer in it", "Leave the row out, or give it an answer.")
    if not isinstance(several[0], str):
        raise BadRow(f"{quoted(column)} begins with {kind_of(several[0])}, not text")
    return text_in({column: several[0]}, column)
