"""From a dataset's tokens to rows in files: chunks of documents, cut examples, the mixture, the capped
validation set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forgellm.data.chunks import rows
from forgellm.data.parting import Parted
from forgellm.data.preferences import REJECTED
from forgellm.data.sequences import Learned, Offsets, Sequences, Tokens, choose
from forgellm.data.sources import Kind
from forgellm.data.token_store import Span, TokenStore

Row = tuple[Tokens, Learned]


@dataclass
class Shaper:
    """Makes rows of at most `max_seq_length` tokens.

    Counts the examples that were `cut` there, and those `dropped` because nothing to learn was left.
    """

    store: TokenStore
    kind: Kind
    max_seq_length: int
    overlap: int
    seed: int
    cut: int = 0
    dropped: int = 0

    def train(self, parted: Parted) -> Iterator[Row]:
        """Documents are joined in a drawn order; examples keep theirs, one a row."""
        if self.kind != "documents":
            yield from self._rows(parted.train)
        else:
            spans = parted.training_spans(self.store)
            order = np.random.default_rng((self.seed, _ORDER)).permutation(len(spans))
            yield from self._chunks([spans[n] for n in order])

    def valid(self, parted: Parted) -> Iterator[Row]:
        """Each document is kept apart: its loss must not depend on its neighbours."""
        if self.kind != "documents":
            yield from self._rows(parted.valid)
        elif parted.end is not None:
            start = self.store.span(0)[0]
            lead = int(self.store.facts["lead"])
            yield from self._chunks([(start, start + lead), parted.end])
        else:
            for item in parted.valid:
                yield from self._chunks([self.store.span(int(item))])

    def _chunks(self, spans: Sequence[Span]) -> Iterator[Row]:
        return rows(self.store.slices(spans), length=self.max_seq_length, overlap=self.overlap)

    def _rows(self, items: Sequence[int] | np.ndarray) -> Iterator[Row]:
        return self._pairs(items) if self.kind == "preferences" else self._examples(items)

    def _pairs(self, items: Sequence[int] | np.ndarray) -> Iterator[Row]:
        """Two rows for each, the chosen one first; nothing of a pair whose sides are the same once cut."""
        for item in items:
            ids, marks = self.store.read(*self.store.span(int(item)))
            at, most = int(np.flatnonzero(marks & REJECTED)[0]), self.max_seq_length
            sides = [
                (ids[part][:most], (marks[part][:most] & 1).astype(np.bool_))
                for part in (slice(None, at), slice(at, None))
            ]
            self.cut += max(at, len(ids) - at) > most
            same = np.array_equal(sides[0][0], sides[1][0])
            if not same and all(learned[1:].any() for _, learned in sides):
                yield from sides
            else:
                self.dropped += 1

    def _examples(self, items: Sequence[int] | np.ndarray) -> Iterator[Row]:
        for item in items:
            start, end = self.store.span(int(item))
            kept = min(end, start + self.max_seq_length)
            self.cut += kept < end
            ids, marks = self.store.read(start, kept)
            if marks[1:].any():
                yield ids, marks.astype(np.bool_)
            else:
                self.dropped += 1


def draw_mixture(domain_tokens: int, general: Offsets, *, ratio: float, seed: int) -> list[int]:
    """Which general rows, whose lengths are given, are to be added until the domain has `ratio` of the
    tokens: whole rows, drawn anew for each pass."""
    if ratio >= 1.0 or not len(general):
        return []
    wanted = domain_tokens * (1.0 - ratio) / ratio
    rng = np.random.default_rng((seed, _MIXTURE))
    chosen: list[int] = []
    total = 0.0
    while True:
        for index in rng.permutation(len(general)):
            if total + general[index] / 2 >= wanted:
                return chosen or [int(index)]
            chosen.append(int(index))
            total += float(general[index])


def draw_validation(sequences: Sequences, *, most_tokens: int, seed: int, together: int = 1) -> Sequences:
    """Whole sequences of at most `most_tokens` in all, but at least one, drawn once and kept in order.

    So many in a row stay `together`.
    """
    if len(sequences.tokens) <= most_tokens:
        return sequences
    lengths = sequences.lengths.reshape(-1, together).sum(axis=1)
    order = np.random.default_rng((seed, _VALIDATION)).permutation(len(lengths))
    fitting = int(np.searchsorted(np.cumsum(lengths[order]), most_tokens, side="right"))
    chosen = np.sort(order[: max(1, fitting)])
    return choose(sequences, (chosen[:, None] * together + np.arange(together)).ravel())


# What each draw is for, so that no two of them use the same random numbers.
_ORDER, _MIXTURE, _VALIDATION = 1, 2, 3
