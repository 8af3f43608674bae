"""What a run minimises: how its corpus becomes batches, the loss of one, and the measurement of the weights.

The likelihood of what is learned is the usual one; preferences have their own in `dpo`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import mlx.nn as nn

from forgellm.data.corpus import Corpus
from forgellm.domain.metrics import perplexity
from forgellm.training.batches import Batch, IntArray, collate
from forgellm.training.chunked_loss import Chunking
from forgellm.training.losses import Measurement, learned_loss, measure
from forgellm.training.output_layer import Layer

Loss = Callable[..., tuple[mx.array, dict[str, mx.array]]]
"""(loss, metrics) of a model on a batch's arrays; the last one scales both. `chunking` may save logits."""


class Objective(Protocol):
    """`loss` is what the gradients are taken of."""

    @property
    def loss(self) -> Loss: ...

    def batch(self, indices: IntArray, width: int, *, rows: int) -> Batch:
        """The items at `indices` of the training data in [rows, width], of pairs [2 rows, width]."""

    def measure(self, model: nn.Module, *, layer: Layer = None) -> Measurement:
        """The weights on the fixed validation set, dropout off."""

    def said(self, found: Measurement) -> Mapping[str, object]:
        """What a validation event says of a measurement beside its loss."""


def likelihood(
    model: nn.Module,
    tokens: mx.array,
    learned: mx.array,
    scale: mx.array,
    *,
    chunking: Chunking | None = None,
) -> tuple[mx.array, dict[str, mx.array]]:
    """`losses.learned_loss`, which has no further metrics."""
    return learned_loss(model, tokens, learned, scale, chunking=chunking), {}


@dataclass(frozen=True)
class Likelihood:
    """The mean loss of the learned tokens, in nats."""

    corpus: Corpus

    @property
    def loss(self) -> Loss:
        return likelihood

    def batch(self, indices: IntArray, width: int, *, rows: int) -> Batch:
        return collate(self.corpus.train, indices, width, rows=rows)

    def measure(self, model: nn.Module, *, layer: Layer = None) -> Measurement:
        return measure(model, self.corpus.valid, layer=layer)

    def said(self, found: Measurement) -> Mapping[str, object]:
        return {"perplexity": perplexity(found.loss)}
