"""Short sequences laid together in rows of few widths, and the batches made of such rows.

What a token costs in attention grows with the width of its row. So a sequence goes into the narrowest row
that holds it, with shorter ones in the room it leaves, and a batch has many narrow rows or few wide ones: as
many tokens. Which sequences share a row is decided once, from the seed, for all epochs: every epoch has
as many batches, and no sequence is left out or cut. That they do not see each other is `separation`'s part.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from forgellm.data.corpus import Sequences
from forgellm.domain.rows import row_widths
from forgellm.training.batches import Batch, IntArray


@dataclass(frozen=True)
class Packing:
    """Row r has room for `widths[r]` tokens and holds the sequences `members[offsets[r]:offsets[r + 1]]`, of
    `lengths[r]` tokens together."""

    members: IntArray
    offsets: IntArray
    lengths: IntArray
    widths: IntArray

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> IntArray:
        """The sequences of one row, in the order they are laid down."""
        found: IntArray = self.members[self.offsets[index] : self.offsets[index + 1]]
        return found


def pack(lengths: IntArray, width: int, *, seed: int) -> Packing:
    """Rows of `row_widths`; a sequence of more than `width` tokens has one to itself.

    Best fit, the longest first: the fullest row that has room takes a sequence. Which of equally long
    sequences meet is drawn.
    """
    drawn = np.random.default_rng((seed, _PACKING)).permutation(len(lengths))
    order = drawn[np.argsort(-lengths[drawn], kind="stable")]
    edges = row_widths(width, int(lengths.max(initial=0)))
    rows, widths = _rows(lengths[order].tolist(), edges, shared=width)
    members = order[np.argsort(rows, kind="stable")]
    counts = np.bincount(rows, minlength=len(widths))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    tokens = np.bincount(rows, weights=lengths[order], minlength=len(widths)).astype(np.int64)
    return Packing(members, offsets, tokens, widths)


def lay_out(sequences: Sequences, packing: Packing, chosen: IntArray, width: int, *, rows: int) -> Batch:
    """The `chosen` rows in [rows, width]; missing rows stay empty so that the shape never changes.

    `segments` numbers the sequences of a row from 1, 0 being padding; None where no row is shared, because
    what is causal alone costs less.
    """
    tokens = np.zeros((rows, width), np.int32)
    learned = np.zeros((rows, width), np.bool_)
    segments = np.zeros((rows, width), np.int32)
    for row, index in enumerate(chosen):
        at = 0
        for number, member in enumerate(packing.row(int(index)), start=1):
            ids, is_learned = sequences[int(member)]
            end = at + len(ids)
            tokens[row, at:end] = ids
            learned[row, at:end] = is_learned
            segments[row, at:end] = number
            at = end
    shared = bool((segments > 1).any())
    true_tokens = int(packing.lengths[chosen].sum())
    return Batch(tokens, learned, int(learned.sum()), true_tokens, segments=segments if shared else None)


def _rows(lengths: list[int], edges: list[int], *, shared: int) -> tuple[IntArray, IntArray]:
    """The row of each sequence, the lengths falling, and the width of each row.

    Bit r of `rooms` says that a row of at most `shared` tokens has room for r more.
    """
    with_room: list[list[int]] = [[] for _ in range(edges[-1] + 1)]
    rooms = 0
    widths: list[int] = []
    chosen = np.zeros(len(lengths), np.int64)
    for at, length in enumerate(lengths):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            rooms ^= 0 if with_room[room] else 1 << room
        else:
            room, row = edges[bisect_left(edges, length)], len(widths)
            widths.append(room)
        left = room - length
        if left and widths[row] <= shared:
            with_room[left].append(row)
            rooms |= 1 << left
        chosen[at] = row
    return chosen, np.array(widths, np.int64)


_PACKING = 4
"""What the draw is for; the corpus and the epochs have others."""
