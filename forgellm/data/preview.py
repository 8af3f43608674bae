"""What a model will see of a dataset: rows as they are trained on, token by token, with what is learned.

Works on the items that are handed in; reading and paging them is for the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from forgellm.data.documents import Document
from forgellm.data.preferences import Preference
from forgellm.data.records import Example
from forgellm.data.report import Measure
from forgellm.domain.spec import TrainingSpec


@dataclass(frozen=True)
class Piece:
    """One token: the text it stands for, its id, and whether the model learns to say it.

    A character may be several tokens: all but the first of them have an empty text.
    """

    text: str
    id: int
    learned: bool


@dataclass(frozen=True)
class PreviewRow:
    """One row of a corpus: an example, or a chunk of a document (`chunk` counts from 1, of `chunks`).

    `tokens` counts all of them, `pieces` are those that are kept, so a row is cut where `cut` is above 0:
    that many tokens at its end are left out. `problem` is why it cannot be trained on; it has no pieces then.
    """

    file: str
    line: int | None
    pieces: Sequence[Piece]
    tokens: int
    learned: int
    cut: int = 0
    chunk: int | None = None
    chunks: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Lengths:
    """How long items are, in tokens. `bins` are (upper bound, count), the bounds powers of two."""

    count: int
    tokens: int
    learned: int
    shortest: int
    median: int
    longest: int
    cut: int
    bins: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Passes:
    """How often a spec passes over its data: `epochs` = iterations x accumulation / batches of one epoch."""

    sequences: int
    batches_per_epoch: int
    iterations: int
    epochs: float


def preview(
    items: Iterable[Document | Example | Preference],
    *,
    tokenizer: Any,
    max_seq_length: int,
    chunk_overlap: int = 0,
) -> Iterator[PreviewRow]:
    """The rows that items become, in order. A preference gives two: what is chosen, then what is rejected."""
    raise NotImplementedError


def measure_with(tokenizer: Any, *, max_seq_length: int) -> Measure:
    """What `report.check` counts tokens with."""
    raise NotImplementedError


def lengths(counts: Iterable[tuple[int, int]], *, max_seq_length: int) -> Lengths:
    """From (tokens, learned tokens) of every item. Streams; the median is that of its bin's upper bound."""
    raise NotImplementedError


def passes(spec: TrainingSpec, sequences: int) -> Passes:
    """What a spec comes to with that many rows to train on."""
    raise NotImplementedError
