"""Token sequences with their loss mask, in memory or mapped from files. `corpus` makes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int32]
Learned = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int64]

_ROWS = 4096
"""Rows whose targets are counted at a time: a corpus may be larger than the memory."""


@dataclass(frozen=True)
class Sequences:
    """`tokens` int32 [total], `learned` bool [total], `offsets` int64 [count + 1].

    `learned[j]` says that token j is a target. The first token of a sequence never is one.
    """

    tokens: Tokens
    learned: Learned
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> tuple[Tokens, Learned]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self.offsets[index], self.offsets[index + 1]
        return self.tokens[start:end], self.learned[start:end]

    @property
    def lengths(self) -> Offsets:
        """Tokens of each sequence, int64 [count]."""
        return np.diff(self.offsets)

    @property
    def targets(self) -> Offsets:
        """Learned tokens of each sequence, int64 [count]."""
        found = np.zeros(len(self), np.int64)
        for first in range(0, len(self), _ROWS):
            offsets = self.offsets[first : first + _ROWS + 1]
            part = np.cumsum(self.learned[offsets[0] : offsets[-1]], dtype=np.int64)
            found[first : first + _ROWS] = np.diff(np.concatenate([[0], part])[offsets - offsets[0]])
        return found


def join(pairs: Iterable[tuple[Tokens, Learned]]) -> Sequences:
    """Sequences from (tokens, learned) pairs; the first token of each loses its place as a target."""
    tokens, learned, lengths = [], [], [0]
    for ids, mask in pairs:
        tokens.append(ids)
        learned.append(_without_first(mask))
        lengths.append(len(ids))
    return Sequences(
        np.concatenate(tokens) if tokens else np.zeros(0, np.int32),
        np.concatenate(learned) if learned else np.zeros(0, np.bool_),
        np.cumsum(lengths, dtype=np.int64),
    )


def _without_first(mask: Learned) -> Learned:
    copy = np.array(mask, dtype=np.bool_)
    copy[:1] = False
    return copy


def choose(sequences: Sequences, indices: Iterable[int]) -> Sequences:
    """The sequences at `indices`, in that order."""
    return join(sequences[int(i)] for i in indices)
