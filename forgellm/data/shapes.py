"""Which of the known shapes a file of rows has, and which column is which part of it.

The shape is recognised from the columns and from what lies in them; a decision made by hand wins. How a row
of a shape becomes an example is `records`' part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from forgellm.data.tables.row import Row
from forgellm.storage.decisions import Decisions

Shape = Literal[
    "messages",
    "sharegpt",
    "alpaca",
    "prompt_completion",
    "question_answer",
    "document_summary",
    "preference",
    "text",
]

PARTS: Mapping[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "sharegpt": ("conversations", "system"),
    "alpaca": ("instruction", "input", "output", "system"),
    "prompt_completion": ("prompt", "completion", "system"),
    "question_answer": ("question", "context", "answer", "system"),
    "document_summary": ("document", "summary"),
    "preference": ("prompt", "chosen", "rejected", "system"),
    "text": ("text",),
}
"""The parts of each shape; `system`, `input`, `context` and a preference's `prompt` may be missing."""


@dataclass(frozen=True)
class Recognition:
    """`shape` is None where the rows fit none; `reason` says why in words that a person reads.

    `columns` maps each part to its column; `alternatives` are the other shapes that would fit.
    """

    shape: Shape | None
    columns: Mapping[str, str]
    reason: str
    alternatives: tuple[Shape, ...] = ()
    by_hand: bool = False


def recognise(rows: Iterable[Row], *, file: str = "", decisions: Decisions | None = None) -> Recognition:
    """The shape of a file from a sample of its rows; `file` is its name within the dataset."""
    raise NotImplementedError
