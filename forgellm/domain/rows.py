"""How many rows and batches the sequences of a corpus come to, before they are laid out."""

from __future__ import annotations

import math

from forgellm.domain.spec import TrainingSpec

FILLED = 0.98
"""The share of shared rows that is tokens, for lengths like a chat dataset's; of many it is more."""


def batches_per_epoch(spec: TrainingSpec, *, sequences: int, tokens: int) -> int:
    """Batches that a pass over so many sequences takes. `tokens` are all of theirs; with packing about."""
    rows = sequences
    if spec.packing is not None:
        rows = min(sequences, math.ceil(tokens / (spec.packing * FILLED)))
    return math.ceil(rows / spec.batch_size)


def longest_row(spec: TrainingSpec, longest: int) -> int:
    """Tokens of the longest row where the longest sequence has `longest`."""
    return max(longest, spec.packing or 0)
