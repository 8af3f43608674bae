"""Short sequences laid together in rows of one width, and the batches made of such rows.

Which sequences share a row is decided once, from the seed, for all epochs: so every epoch has as many
batches, and no sequence is left out or cut. That they do not see each other is the part of `separation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgellm.data.corpus import Sequences
from forgellm.training.batches import Batch, IntArray


@dataclass(frozen=True)
class Packing:
    """Row r holds the sequences `members[offsets[r]:offsets[r + 1]]`, of `lengths[r]` tokens together."""

    members: IntArray
    offsets: IntArray
    lengths: IntArray

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> IntArray:
        """The sequences of one row, in the order they are laid down."""
        found: IntArray = self.members[self.offsets[index] : self.offsets[index + 1]]
        return found


def pack(lengths: IntArray, width: int, *, seed: int) -> Packing:
    """Rows of at most `width` tokens; a longer sequence has a row to itself.

    Best fit, the longest first: the fullest row that has room takes a sequence. Of real chat lengths more
    than 99 % of the tokens of a row are used. Which of equally long sequences meet is drawn.
    """
    drawn = np.random.default_rng((seed, _PACKING)).permutation(len(lengths))
    order = drawn[np.argsort(-lengths[drawn], kind="stable")]
    rows = _rows(lengths[order].tolist(), width)
    by_row = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=1) if len(rows) else np.zeros(0, np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    members = order[by_row]
    tokens = np.add.reduceat(lengths[members], offsets[:-1]) if len(rows) else np.zeros(0, np.int64)
    return Packing(members, offsets, tokens)


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


def _rows(lengths: list[int], width: int) -> IntArray:
    """The row of each sequence, the lengths falling. Bit r of `rooms` says that a row has room for r more."""
    with_room: list[list[int]] = [[] for _ in range(width + 1)]
    rooms, opened = 0, 0
    chosen = np.zeros(len(lengths), np.int64)
    for at, length in enumerate(lengths):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            rooms ^= 0 if with_room[room] else 1 << room
        else:
            room, row, opened = max(width, length), opened, opened + 1
        left = room - length
        if left > 0:
            with_room[left].append(row)
            rooms |= 1 << left
        chosen[at] = row
    return chosen


_PACKING = 4
"""What the draw is for; the corpus and the epochs have others."""
