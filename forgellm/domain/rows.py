"""How many batches a corpus comes to, and how long its rows are, before it is laid out."""

from __future__ import annotations

import math

from forgellm.domain.spec import TrainingSpec

FILLED = 0.9
"""The share of what a packed batch may hold that it does, for lengths like a chat dataset's."""


def batches_per_epoch(spec: TrainingSpec, *, sequences: int, tokens: int) -> int:
    """Batches that a pass over so many sequences takes; with packing about. `tokens` are all of theirs."""
    if spec.packing is None:
        return math.ceil(sequences / spec.batch_size)
    return min(sequences, math.ceil(tokens / (FILLED * spec.packing * spec.batch_size)))


def longest_row(spec: TrainingSpec, longest: int) -> int:
    """Tokens of the longest row where the longest sequence has `longest`."""
    return max(longest, spec.packing or 0)
