"""A row with a chosen and a rejected answer: to what was asked and the two ways to go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from forgellm.data.problems import BadRow
from forgellm.data.turns import messages_of, text_in, with_system
from forgellm.domain.chat import Message

Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Preference:
    """What was asked, an answer that was preferred, and one that was not, each without what was asked."""

    prompt: Messages
    chosen: Messages
    rejected: Messages
    file: str
    line: int


REJECTED = 2
"""In a store of tokens the mark of the one that a pair's rejected side begins with, beside 1 for learned."""

_SPOKEN = re.compile(r"\n\n(Human|Assistant): ?")
"""How the oldest preference data write a whole conversation into one text."""


def preference(
    values: Mapping[str, object], columns: Mapping[str, str], *, file: str, line: int
) -> Preference:
    """The preference in a row. Raises BadRow."""
    chosen = _answered(values, columns["chosen"])
    rejected = _answered(values, columns["rejected"])
    shared = _shared(chosen, rejected)
    asked = _asked(values, columns.get("prompt"))
    prompt = shared if shared[: len(asked)] == asked else (*asked, *shared)
    if not prompt:
        raise BadRow("does not say what was asked", "Give a prompt, or whole conversations in both answers.")
    chosen, rejected = chosen[len(shared) :], rejected[len(shared) :]
    if chosen == rejected:
        raise BadRow("has the same answer twice, chosen and rejected")
    if any(not side or side[-1].role != "assistant" for side in (chosen, rejected)):
        raise BadRow("has a side that does not end with an assistant's answer")
    return Preference(with_system(prompt, values, columns.get("system")), chosen, rejected, file, line)


def _asked(values: Mapping[str, object], column: str | None) -> Messages:
    if column is None or values.get(column) is None:
        return ()
    if isinstance(values[column], list):
        return messages_of(values[column], column)
    return (Message("user", text_in(values, column)),)


def _answered(values: Mapping[str, object], column: str) -> Messages:
    value = values.get(column)
    if isinstance(value, list) or (isinstance(value, str) and value.startswith("[{")):
        return messages_of(value, column)
    text = text_in(values, column)
    pieces = _SPOKEN.split(text)
    if len(pieces) < 3 or pieces[0].strip():
        return (Message("assistant", text),)
    roles = {"Human": "user", "Assistant": "assistant"}
    spoken = zip(pieces[1::2], pieces[2::2], strict=True)
    return tuple(Message(roles[who], said.strip()) for who, said in spoken if said.strip())


def _shared(chosen: Messages, rejected: Messages) -> Messages:
    """What both conversations begin with, the last message of either never."""
    most = min(len(chosen), len(rejected)) - 1
    same = next((n for n in range(most) if chosen[n] != rejected[n]), max(most, 0))
    return chosen[:same]
