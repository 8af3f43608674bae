"""The known shapes of rows: what each is called, which parts it has, and under which names those go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from forgellm.data.problems import BadRow
from forgellm.domain.errors import nearest

Shape = Literal[
    "preference",
    "messages",
    "sharegpt",
    "alpaca",
    "question_answer",
    "document_summary",
    "prompt_completion",
    "text",
]
SHAPES: tuple[Shape, ...] = get_args(Shape)
"""In the order in which they are tried: the special before the general."""

_ASKED = "prompt question query instruction input user source"
_ANSWERED = "completion response output answer target reply assistant"
_CHATS = "conversations conversation dialogue dialog chat turns messages"
_SYSTEM = "system system_prompt system_message"

_NAMES: Mapping[Shape, Mapping[str, str]] = {
    "preference": {
        "prompt": _ASKED,
        "chosen": "chosen preferred accepted",
        "rejected": "rejected dispreferred",
        "system": _SYSTEM,
    },
    "messages": {"messages": f"messages {_CHATS}"},
    "sharegpt": {"conversations": _CHATS, "system": _SYSTEM},
    "alpaca": {
        "instruction": "instruction",
        "input": "input context",
        "output": "output response answer completion target",
        "system": _SYSTEM,
    },
    "question_answer": {
        "question": "question",
        "context": "context passage background",
        "answer": "answer answers response",
        "system": _SYSTEM,
    },
    "document_summary": {
        "document": "document article dialogue text",
        "summary": "summary highlights abstract tldr",
    },
    "prompt_completion": {"prompt": _ASKED, "completion": _ANSWERED, "system": _SYSTEM},
    "text": {"text": "text content body document article markdown"},
}

PARTS: Mapping[Shape, tuple[str, ...]] = {shape: tuple(names) for shape, names in _NAMES.items()}
_OPTIONAL = ("system", "input", "context")

MEANING: Mapping[Shape, str] = {
    "preference": "questions with a chosen and a rejected answer",
    "messages": "conversations as lists of messages with role and content",
    "sharegpt": "conversations as lists of turns with from and value",
    "alpaca": "instructions, perhaps with an input, and what comes out",
    "question_answer": "questions, perhaps about a context, and their answers",
    "document_summary": "documents and their summaries",
    "prompt_completion": "prompts and their completions",
    "text": "texts, each a document of its own",
}

REQUIRED: Mapping[Shape, tuple[str, ...]] = {
    shape: tuple(
        part for part in parts if part not in _OPTIONAL and (shape, part) != ("preference", "prompt")
    )
    for shape, parts in PARTS.items()
}
"""The parts that no row of a shape can do without. A preference's prompt may lie in its answers."""

NAMES: Mapping[Shape, Mapping[str, tuple[str, ...]]] = {
    shape: {part: tuple(text.split()) for part, text in names.items()} for shape, names in _NAMES.items()
}
"""The names that the column of a part may have, the likeliest first."""


@dataclass(frozen=True)
class Choice:
    """What was decided by hand: the shape of every row of a file, and the column of some of its parts."""

    shape: Shape
    columns: Mapping[str, str]


def choose(shape: str | None, columns: Mapping[str, str]) -> Choice | None:
    """A decision made by hand; None where there is none. Raises BadRow where it makes no sense.

    Without a shape the parts that have a column say which it is.
    """
    if shape is None and not columns:
        return None
    named = next((one for one in SHAPES if one == shape), None)
    if named is None and shape is not None:
        raise BadRow(f"the shape {shape!r} is not known", _did_you_mean(shape, SHAPES))
    known = PARTS[named] if named else sorted({part for parts in PARTS.values() for part in parts})
    strange = next((part for part in columns if part not in known), None)
    if strange is not None:
        raise BadRow(f"{strange!r} is no part of {named or 'any shape'}", _did_you_mean(strange, known))
    fitting = (one for one in SHAPES if set(REQUIRED[one]) <= set(columns) <= set(PARTS[one]))
    found = named or next(fitting, None)
    if found is None:
        parts = " and ".join(map(repr, columns))
        raise BadRow(
            f"{parts} alone is no shape", "Name the shape, or the columns of the other parts as well."
        )
    return Choice(found, columns)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else f"Known are {', '.join(known)}."
