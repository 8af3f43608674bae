"""How many batches a corpus comes to, and which shapes they have, before it is laid out: what lays it out and
what foretells its memory agree."""

from __future__ import annotations

import math
from itertools import takewhile

from forgellm.domain.spec import TrainingSpec

FILLED = 0.9
"""The share of what a packed batch may hold that it does, for lengths like a chat dataset's."""


def batches_per_epoch(spec: TrainingSpec, *, sequences: int, tokens: int) -> int:
    """Batches that a pass over so many sequences takes; with packing about. `tokens` are all of theirs."""
    if spec.packing is None:
        return math.ceil(sequences / spec.batch_size)
    return min(sequences, math.ceil(tokens / (FILLED * spec.packing * spec.batch_size)))


def batch_shapes(spec: TrainingSpec, longest: int) -> list[tuple[int, int]]:
    """(rows, tokens of each) of the batches that there may be, the longest sequence having `longest` tokens.

    Of preferences a row is a pair. With packing a batch has so many tokens, and fewer rows the longer they
    are; there is one as wide as the longest sequence needs, and any narrower ones.
    """
    if spec.packing is None:
        return [(spec.batch_size, longest)]
    tokens = spec.batch_size * spec.packing
    widths = row_widths(spec.packing, longest)
    widest = next(width for width in widths if width >= longest)
    return [(max(1, tokens // width), width) for width in widths if width <= widest]


def row_widths(width: int, longest: int) -> list[int]:
    """The widths of shared rows: `width`, three quarters, a half, three eighths … of it down to 32 tokens,
    beyond it buckets up to the longest sequence."""
    octaves = range(width.bit_length())
    parts = [part for k in octaves for part in (width >> k, 3 * width >> k + 2) if part >= _NARROWEST]
    longer = [edge for edge in bucket_edges(longest) if edge > width]
    return sorted({*parts, width, *longer})


def bucket_edges(longest: int) -> list[int]:
    """The widths of rows that hold one sequence: 17, 33, 49, 65, 81, 97, 113, 129, 161, 193, 225, 257 … , and
    the longest.

    A model is given all tokens but the last, so it sees multiples of 16. Four steps an octave keep padding
    below a fifth beyond the first ones, and the number of compiled shapes small: mlx keeps every traced
    shape for ever (mlx issue 4464; mlx-lm's own multiples of 32 are 32 shapes up to 1,024 tokens).
    """
    steps = (1 + 16 * count for count in (*range(1, 8), *(n << k for k in range(1, 40) for n in range(4, 8))))
    return [*takewhile(lambda step: step < longest, steps), longest]


_NARROWEST = 32
"""Rows narrower than this gain nothing more, and are one more shape."""
