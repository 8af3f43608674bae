"""Cross-entropy over learned tokens, and the measurement of a model on a fixed set of sequences.

Losses are nats per token, weighted by tokens. Measuring is deterministic: the same weights and the same
sequences give the same bits, in any process on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from forgellm.data.corpus import Sequences
from forgellm.training.batches import IntArray, bucket_widths, collate

Sums = np.ndarray[Any, np.dtype[np.float64]]
Cache = Sequence[object] | None


@dataclass(frozen=True)
class Measurement:
    """A loss, the learned tokens behind it, and (sum of losses, weight) of every sequence or pair in order.

    `metrics` are further values of the same weights, by name.
    """

    loss: float
    tokens: int
    sequence_losses: tuple[tuple[float, int], ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


def token_losses(logits: mx.array, targets: mx.array) -> mx.array:
    """-log p of each target in float32, whatever the model's type; logits [..., vocabulary]."""
    return nn.losses.cross_entropy(logits.astype(mx.float32), targets)


def learned_loss(
    model: nn.Module, tokens: mx.array, learned: mx.array, scale: mx.array, *, cache: Cache = None
) -> mx.array:
    """`scale` times the sum of the losses of the learned tokens of a batch [rows, width].

    `cache` says who sees whom where rows are shared (`separation.shared_rows`).
    With `scale` = 1 / (targets of the whole iteration) the gradients of several batches add up to that of
    the token-weighted mean, and no sum grows beyond what a half-precision gradient holds.
    """
    losses = token_losses(model(tokens[:, :-1], cache=cache), tokens[:, 1:])
    return mx.where(learned[:, 1:], losses, 0.0).sum() * scale


def log_probabilities(model: nn.Module, tokens: mx.array, learned: mx.array) -> mx.array:
    """log p of the learned tokens of each row of a batch, summed, float32 [rows]."""
    losses = token_losses(model(tokens[:, :-1]), tokens[:, 1:])
    return -mx.where(learned[:, 1:], losses, 0.0).sum(axis=1)


def measure(
    model: nn.Module,
    sequences: Sequences,
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """The mean loss of `model` over all learned tokens of `sequences`, as `sequence_losses` measures them."""
    sums, counts = sequence_losses(model, sequences, batch_tokens=batch_tokens, progress=progress)
    total = int(counts.sum())
    loss = float(sums.sum()) / total if total else math.nan
    pairs = tuple((float(s), int(n)) for s, n in zip(sums, counts, strict=True))
    return Measurement(loss, total, pairs)


def sequence_losses(
    model: nn.Module,
    sequences: Sequences,
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Sums, IntArray]:
    """(sum of losses float64 [count], learned tokens int64 [count]) of every sequence, dropout off.

    `batch_tokens` bounds one forward pass; it is part of what makes two measurements equal bit for bit.
    The model is left in evaluation mode.
    """
    model.eval()
    widths = bucket_widths(sequences.lengths)
    order = np.argsort(widths, kind="stable")
    sums = np.zeros(len(sequences), np.float64)
    counts = np.zeros(len(sequences), np.int64)
    done = 0
    while done < len(order):
        width = int(widths[order[done]])
        indices = _same_width(order[done : done + max(1, batch_tokens // width)], widths)
        sums[indices], counts[indices] = _sequence_sums(model, sequences, indices, width)
        done += len(indices)
        if progress is not None:
            progress(done, len(order))
    return sums, counts


def _same_width(indices: IntArray, widths: IntArray) -> IntArray:
    chosen: IntArray = indices[widths[indices] == widths[indices[0]]]
    return chosen


def _sequence_sums(
    model: nn.Module, sequences: Sequences, indices: IntArray, width: int
) -> tuple[Sums, IntArray]:
    batch = collate(sequences, indices, width, rows=len(indices))
    tokens, learned = mx.array(batch.tokens), mx.array(batch.learned)
    losses = token_losses(model(tokens[:, :-1]), tokens[:, 1:])
    sums = mx.where(learned[:, 1:], losses, 0.0).sum(axis=1)
    mx.eval(sums)
    return np.array(sums, np.float64), batch.learned.sum(axis=1)
