"""What is in a dataset and what is wrong with it, so that a person reads it in a minute. Streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forgellm.data.documents import Document
from forgellm.data.problems import Problem
from forgellm.data.records import Example
from forgellm.storage.decisions import Decisions

LISTED = 1_000
"""How many problems and how many pairs a report lists; it counts them all."""


@dataclass(frozen=True)
class Measured:
    """An example or a document in tokens; `problem` is why the chat template refuses it."""

    tokens: int
    cut: bool = False
    problem: str | None = None


class Measure(Protocol):
    """Tokens of a batch, with the tokenizer of a base model."""

    def __call__(self, items: Sequence[Example | Document], /) -> Sequence[Measured]: ...


@dataclass(frozen=True)
class FileReport:
    """One file of rows, or all documents of one suffix together (`file` is then `*.md`)."""

    file: str
    part: str
    kind: str
    shape: str | None
    columns: Mapping[str, str]
    reason: str
    alternatives: Sequence[str]
    by_hand: bool
    rows: int
    usable: int
    excluded: int
    refused: int


@dataclass(frozen=True)
class Twin:
    """A row that is (nearly) another: `file` and `line` are those of the later one."""

    file: str
    line: int | None
    of_file: str
    of_line: int | None


@dataclass(frozen=True)
class Twins:
    """`count` of all; the first of them in `listed`."""

    count: int
    listed: Sequence[Twin]


@dataclass(frozen=True)
class Report:
    """JSON-able by `dataclasses.asdict`. What needs a tokenizer is None without one."""

    dataset: str
    files: Sequence[FileReport]
    rows: int
    usable: int
    excluded: int
    refused: int
    tokens: int | None
    longest: int | None
    over_long: int | None
    template_rejected: int | None
    duplicates: Twins
    near_duplicates: Twins
    overlap: Twins
    problem_count: int
    problems: Sequence[Problem]
    notes: Sequence[Problem]
    summary: Sequence[str]


def check(
    folder: Path,
    *,
    decisions: Decisions,
    measure: Measure | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read a whole dataset once. `progress` is told bytes read and bytes in all."""
    raise NotImplementedError
