"""What is said about a dataset: counts, decisions, twins and problems, so that a person reads it in a minute.

How it comes about is `checking`'s part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from forgellm.data.documents import Document
from forgellm.data.problems import Problem
from forgellm.data.records import Example

LISTED = 1_000
"""How many problems, notes and twins a report lists; it counts them all."""

_NAMED = 5


@dataclass(frozen=True)
class Measured:
    """An example or a document in tokens; `problem` is why the chat template refuses it."""

    tokens: int
    cut: bool = False
    learned: int = 0
    problem: str | None = None


Measure = Callable[[Sequence[Example | Document]], Sequence[Measured]]
"""Tokens of some items, with the tokenizer of a base model."""


@dataclass(frozen=True)
class FileReport:
    """One file of rows, or all documents with one ending together (`file` is then `*.md`).

    `kind` is examples, preferences, texts, documents or unknown; `part` is train, valid, heldout or test;
    `layout` is how a .csv or .tsv is read. `rows` are those that were read: usable, excluded and refused.
    """

    file: str
    part: str
    kind: str
    shape: str | None
    columns: Mapping[str, str]
    reason: str
    alternatives: Sequence[str]
    by_hand: bool
    layout: str | None
    rows: int
    usable: int
    excluded: int
    refused: int


@dataclass(frozen=True)
class Twin:
    """A row or document that is (`nearly`) another one, which was read before it."""

    file: str
    line: int | None
    of_file: str
    of_line: int | None
    nearly: bool


@dataclass(frozen=True)
class Twins:
    """`count` of all of them, the first in `listed`."""

    count: int
    listed: Sequence[Twin]


@dataclass(frozen=True)
class Reason:
    """What is wrong with `count` rows, and where the first of them is."""

    reason: str
    count: int
    file: str
    line: int | None
    suggestion: str


@dataclass(frozen=True)
class Tokens:
    """`cut` rows are longer than `max_seq_length`; `refused` ones the chat template does not take."""

    total: int
    longest: int
    cut: int
    refused: int


@dataclass(frozen=True)
class Report:
    """JSON-able by `dataclasses.asdict`. `tokens` is None where no base model was given.

    `duplicates` and `near_duplicates` lie in one part of the dataset, `overlap` is between two, such as rows
    that are trained on and validated on. Near duplicates were looked for among the first `compared` usable
    rows and documents only, part after part.
    """

    dataset: str
    files: Sequence[FileReport]
    rows: int
    usable: int
    excluded: int
    refused: int
    empty: int
    tokens: Tokens | None
    compared: int
    duplicates: Twins
    near_duplicates: Twins
    overlap: Twins
    problem_count: int
    reasons: Sequence[Reason]
    problems: Sequence[Problem]
    notes: Sequence[Problem]
    summary: Sequence[str]


def sentences(report: Report) -> Iterator[str]:
    """The report in words, the most important first."""
    rows = f"{_count(report.rows, 'row or document', 'rows and documents')}: {report.usable:,} can be used"
    yield f"{rows}, {report.refused:,} cannot, {report.excluded:,} left out by hand."
    for reason in report.reasons[:_NAMED]:
        place = reason.file if reason.line is None else f"{reason.file}, line {reason.line}"
        yield f"{reason.count:,} × {reason.reason} (first: {place}). {reason.suggestion}".rstrip()
    for file in report.files[:_NAMED]:
        if file.kind != "documents":
            yield f"{file.file} ({file.part}): {file.reason}."
    if report.tokens is not None:
        yield from _in_tokens(report.tokens)
    yield from _in_twins(report)


def _in_tokens(tokens: Tokens) -> Iterator[str]:
    yield f"{_count(tokens.total, 'token')}, at most {tokens.longest:,} in one row or document."
    if tokens.cut:
        yield f"{_count(tokens.cut, 'row is', 'rows are')} longer than max_seq_length and would be cut."
    if tokens.refused:
        yield f"{_count(tokens.refused, 'row is', 'rows are')} refused by the chat template."


def _in_twins(report: Report) -> Iterator[str]:
    same, near, overlap = report.duplicates.count, report.near_duplicates.count, report.overlap.count
    if same or near:
        yield f"{_count(same, 'is', 'are')} the same as an earlier one, {near:,} more nearly the same."
    else:
        yield "None is the same, or nearly the same, as another one."
    if report.compared < report.usable:
        yield f"Near duplicates were looked for {among_first(report.compared, report.usable)}."
    if overlap:
        yield f"{_count(overlap, 'is', 'are')} in two parts, so that validation or a test flatters the model."


def among_first(compared: int, usable: int) -> str:
    """Where near duplicates were looked for, in words that follow a verb."""
    return f"among the first {compared:,} of {usable:,} rows and documents only, equal ones among all of them"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
