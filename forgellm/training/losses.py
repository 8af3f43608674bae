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
from forgellm.training.batches import Batch, IntArray, bucket_widths, collate
from forgellm.training.chunked_loss import (
    Chunking,
    chunked_losses,
    chunked_sum,
    learned_bound,
    measured_losses,
)
from forgellm.training.output_layer import Layer, OutputLayer, output_layer

Cache = Sequence[object] | None
Sums = np.ndarray[Any, np.dtype[np.float64]]


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
    model: nn.Module,
    tokens: mx.array,
    learned: mx.array,
    scale: mx.array,
    *,
    cache: Cache = None,
    chunking: Chunking | None = None,
) -> mx.array:
    """`scale` times the sum of the losses of the learned tokens of a batch [rows, width].

    With `scale` = 1 / (targets of the whole iteration) the gradients of several batches add up to that of
    the token-weighted mean, and no sum grows beyond what a half-precision gradient holds. `cache` is
    handed to the model.
    """
    if chunking is not None and chunking.layer.learns and chunking.pays(tokens[:, 1:].size):
        hidden, targets, mask, _ = _learned_states(model, tokens, learned, chunking, cache=cache)
        return chunked_sum(hidden, targets, mask * scale, chunking)
    return learned_losses(model, tokens, learned, cache=cache, chunking=chunking).sum() * scale


def log_probabilities(
    model: nn.Module, tokens: mx.array, learned: mx.array, *, chunking: Chunking | None = None
) -> mx.array:
    """log p of the learned tokens of each row of a batch, summed, float32 [rows]."""
    return -learned_losses(model, tokens, learned, chunking=chunking).sum(axis=1)


def learned_losses(
    model: nn.Module,
    tokens: mx.array,
    learned: mx.array,
    *,
    cache: Cache = None,
    chunking: Chunking | None,
) -> mx.array:
    """The loss of every target of a batch [rows, width], 0 where none is learned: float32 [rows, width - 1].

    An output layer that learns has its gradient from whole logits here: in chunks it takes `learned_loss`.
    """
    targets = tokens[:, 1:]
    if chunking is None or not chunking.pays(targets.size) or chunking.layer.learns:
        losses = token_losses(model(tokens[:, :-1], cache=cache), targets)
        return mx.where(learned[:, 1:], losses, 0.0)
    hidden, chosen, mask, places = _learned_states(model, tokens, learned, chunking, cache=cache)
    losses = mx.where(mask, chunked_losses(hidden, chosen, chunking), 0.0)
    return _laid_out(losses, places, targets.shape)


def _learned_states(
    model: nn.Module, tokens: mx.array, learned: mx.array, chunking: Chunking, *, cache: Cache = None
) -> tuple[mx.array, mx.array, mx.array, mx.array | None]:
    """Hidden states [n, hidden], targets [n], whether they are learned [n], their places or None for all."""
    hidden = chunking.layer.hidden(lambda: model(tokens[:, :-1], cache=cache))
    hidden = hidden.reshape(-1, hidden.shape[-1])
    targets, mask = tokens[:, 1:].reshape(-1), learned[:, 1:].reshape(-1)
    places = chunking.places(mask)
    if places is None:
        return hidden, targets, mask, None
    return hidden[places], targets[places], mask[places], places


def _laid_out(losses: mx.array, places: mx.array | None, shape: tuple[int, ...]) -> mx.array:
    if places is None:
        return losses.reshape(shape)
    return mx.zeros(math.prod(shape)).at[places].add(losses).reshape(shape)


def measure(
    model: nn.Module,
    sequences: Sequences,
    *,
    progress: Callable[[int, int], None] | None = None,
    layer: Layer = None,
) -> Measurement:
    """The mean loss of `model` over all learned tokens of `sequences`, as `sequence_losses` measures them."""
    sums, counts = sequence_losses(model, sequences, progress=progress, layer=layer)
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
    layer: Layer = None,
) -> tuple[Sums, IntArray]:
    """(sum of losses float64 [count], learned tokens int64 [count]) of every sequence, dropout off.

    `batch_tokens` bounds one forward pass; it is part of what makes two measurements equal bit for bit.
    The model is left in evaluation mode. Its output layer is looked for where `layer` does not name it.
    """
    model.eval()
    known = layer or output_layer(model)
    widths = bucket_widths(sequences.lengths)
    order = np.argsort(widths, kind="stable")
    sums = np.zeros(len(sequences), np.float64)
    counts = np.zeros(len(sequences), np.int64)
    done = 0
    while done < len(order):
        width = int(widths[order[done]])
        indices = _same_width(order[done : done + max(1, batch_tokens // width)], widths)
        batch = collate(sequences, indices, width, rows=len(indices))
        sums[indices] = row_losses(model, batch, layer=known)
        counts[indices] = batch.learned.sum(axis=1)
        done += len(indices)
        if progress is not None:
            progress(done, len(order))
    return sums, counts


def _same_width(indices: IntArray, widths: IntArray) -> IntArray:
    chosen: IntArray = indices[widths[indices] == widths[indices[0]]]
    return chosen


def row_losses(model: nn.Module, batch: Batch, *, layer: Layer) -> Sums:
    """The losses of the learned tokens of each row of a batch, summed, without gradients: float64 [rows]."""
    tokens, learned = mx.array(batch.tokens), mx.array(batch.learned)
    shape = tokens[:, 1:].shape
    size = math.prod(shape)
    chunking = None
    if isinstance(layer, OutputLayer):
        chunking = Chunking(layer, learned_bound(batch.learned_targets, size, few=False))
    if chunking is not None and chunking.pays(size):
        hidden, targets, mask, places = _learned_states(model, tokens, learned, chunking)
        losses = _laid_out(mx.where(mask, measured_losses(hidden, targets, chunking), 0.0), places, shape)
    else:
        losses = learned_losses(model, tokens, learned, chunking=None)
    return np.array(losses.sum(axis=1), np.float64)
