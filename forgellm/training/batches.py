"""Which sequences are trained on together, in which order, and how they are laid out.

Batches hold sequences of like true length in few fixed widths, no sequence is ever dropped, and the place
in the order is two integers that can be saved. (mlx-lm 0.32 sorts by the number of dictionary keys, so its
batches are unsorted, and drops the remainder of every epoch: mlx-lm issue 596, mlx-examples issue 843.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from forgellm.data.corpus import Sequences
from forgellm.domain.rows import bucket_edges

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Cursor:
    """The next batch to train on: number `position` of epoch `epoch`, both counted from 0."""

    epoch: int = 0
    position: int = 0


@dataclass(frozen=True)
class Batch:
    """`tokens` int32 [rows, width] padded with 0, `learned` bool of the same shape.

    `targets` counts what its loss is the mean over: learned tokens, or pairs. `true_tokens` are not padding.
    `reference` float32 [rows], where pairs have one, is what the base gives to the learned tokens of a row.
    `segments` int32 [rows, width] numbers the sequences of shared rows.
    """

    tokens: np.ndarray
    learned: np.ndarray
    targets: int
    true_tokens: int
    reference: np.ndarray | None = None
    segments: np.ndarray | None = None

    @property
    def learned_targets(self) -> int:
        """How many tokens have a loss: learned ones that follow another."""
        return int(self.learned[:, 1:].sum())

    @property
    def arrays(self) -> tuple[mx.array, ...]:
        """What a loss takes, after the model."""
        given = (self.tokens, self.learned, self.segments, self.reference)
        return tuple(mx.array(one) for one in given if one is not None)


class BatchOrder:
    """The endless, repeatable order of batches over a set of sequences.

    Epoch `e` is a permutation from `default_rng((seed, e))`: shuffle, sort by width, cut into batches,
    shuffle the batches. The same arguments give the same order on every machine. With `tokens` a batch has
    as many rows as they fill at its width. `widths` are those of the rows where they are known.
    """

    def __init__(
        self,
        lengths: IntArray,
        batch_size: int,
        *,
        seed: int,
        tokens: int | None = None,
        widths: IntArray | None = None,
    ) -> None:
        self._widths = bucket_widths(lengths) if widths is None else widths
        self._batch_size = batch_size
        self._tokens = tokens
        self._seed = seed
        self._cuts = self._cut(np.sort(self._widths))
        self._planned: tuple[int, list[IntArray]] | None = None

    @property
    def batches_per_epoch(self) -> int:
        return len(self._cuts) + 1

    @property
    def full_batches(self) -> float:
        """How many full batches an epoch's rows are, an incomplete one being a part of one; at least 1."""
        batches = np.split(np.sort(self._widths), self._cuts)
        return max(1.0, sum(len(widths) / self.rows(int(widths[-1])) for widths in batches))

    def rows(self, width: int) -> int:
        """Rows of a batch of that width, the empty ones of an incomplete batch included."""
        return self._batch_size if self._tokens is None else max(1, self._tokens // width)

    def from_cursor(self, cursor: Cursor) -> Iterator[tuple[Cursor, IntArray, int]]:
        """Yield (cursor after this batch, indices, width) for ever, beginning at `cursor`."""
        while True:
            batches = self._epoch(cursor.epoch)
            if cursor.position >= len(batches):
                cursor = Cursor(cursor.epoch + 1, 0)
                continue
            indices = batches[cursor.position]
            cursor = Cursor(cursor.epoch, cursor.position + 1)
            yield cursor, indices, int(self._widths[indices].max())

    def _epoch(self, epoch: int) -> list[IntArray]:
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        return self._planned[1]

    def _plan(self, epoch: int) -> list[IntArray]:
        rng = np.random.default_rng((self._seed, epoch))
        shuffled = rng.permutation(len(self._widths))
        alike = shuffled[np.argsort(self._widths[shuffled], kind="stable")]
        batches = np.split(alike, self._cuts)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(self, widths: IntArray) -> list[int]:
        """Where rows, sorted by these widths, are cut into batches; all epochs have the same widths."""
        if self._tokens is None:
            return list(range(self._batch_size, len(widths), self._batch_size))
        cuts, end = [], 0
        while end < len(widths):
            cuts.append(end)
            end = self._end(widths, end)
        return cuts[1:]

    def _end(self, widths: IntArray, start: int) -> int:
        """The end of the batch that begins at row `start`. A rest that does not fill half a batch goes into
        wider rows: empty ones would cost more."""
        while True:
            width = int(widths[start])
            last = int(np.searchsorted(widths, width, side="right"))
            rows = self.rows(width)
            if last >= start + rows:
                return start + rows
            if last == len(widths) or 2 * (last - start) >= rows:
                return last
            widths = np.maximum(widths, widths[last])


def bucket_widths(lengths: IntArray) -> IntArray:
    """The padded width of each length, one of `bucket_edges`, never above the longest."""
    edges = np.array(bucket_edges(int(lengths.max(initial=0))), dtype=np.int64)
    found: IntArray = edges[np.searchsorted(edges, lengths)]
    return found


def collate(sequences: Sequences, indices: IntArray, width: int, *, rows: int) -> Batch:
    """Lay sequences out in [rows, width]; missing rows stay empty so that the shape never changes."""
    tokens = np.zeros((rows, width), np.int32)
    learned = np.zeros((rows, width), np.bool_)
    true_tokens = 0
    for row, index in enumerate(indices):
        ids, is_learned = sequences[int(index)]
        tokens[row, : len(ids)] = ids
        learned[row, : len(ids)] = is_learned
        true_tokens += len(ids)
    return Batch(tokens, learned, int(learned.sum()), true_tokens)
