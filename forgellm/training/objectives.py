"""What a run minimises: how its corpus becomes batches, the loss of one, and the measurement of the weights.

The likelihood of what is learned is the usual one; preferences have their own in `dpo`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from forgellm.data.corpus import Corpus
from forgellm.domain.metrics import perplexity
from forgellm.training.batches import Batch, IntArray, collate
from forgellm.training.chunked_loss import Chunking
from forgellm.training.losses import Measurement, learned_loss, measure
from forgellm.training.output_layer import Layer
from forgellm.training.packing import Packing, lay_out
from forgellm.training.separation import shared_rows

Loss = Callable[..., tuple[mx.array, dict[str, mx.array]]]
"""(loss, metrics) of a model on a batch's arrays; the last one scales both. `chunking` may save logits."""


class Objective(Protocol):
    """`loss` is what the gradients are taken of."""

    @property
    def loss(self) -> Loss: ...

    @property
    def targets(self) -> int:
        """What the losses of an epoch are the mean over."""

    def batch(self, indices: IntArray, width: int, *, rows: int) -> Batch:
        """The items at `indices` of the training data in [rows, width], of pairs [2 rows, width].

        Where rows are shared, an item is a row.
        """

    def measure(self, model: nn.Module, *, layer: Layer = None) -> Measurement:
        """The weights on the fixed validation set, dropout off."""

    def said(self, found: Measurement) -> Mapping[str, object]:
        """What a validation event says of a measurement beside its loss."""


def likelihood(
    model: nn.Module,
    tokens: mx.array,
    learned: mx.array,
    *rest: mx.array,
    chunking: Chunking | None = None,
) -> tuple[mx.array, dict[str, mx.array]]:
    """`losses.learned_loss` without further metrics. `rest`: segments where rows are shared, the scale."""
    *segments, scale = rest
    cache = shared_rows(model, segments[0][:, :-1]) if segments else None
    return learned_loss(model, tokens, learned, scale, cache=cache, chunking=chunking), {}


@dataclass(frozen=True)
class Likelihood:
    """The mean loss of the learned tokens, in nats; with a `packing`, of rows that sequences share."""

    corpus: Corpus
    packing: Packing | None = None

    @property
    def loss(self) -> Loss:
        return likelihood

    @property
    def targets(self) -> int:
        return int(np.count_nonzero(self.corpus.train.learned))

    def batch(self, indices: IntArray, width: int, *, rows: int) -> Batch:
        if self.packing is None:
            return collate(self.corpus.train, indices, width, rows=rows)
        return lay_out(self.corpus.train, self.packing, indices, width, rows=rows)

    def measure(self, model: nn.Module, *, layer: Layer = None) -> Measurement:
        return measure(model, self.corpus.valid, layer=layer)

    def said(self, found: Measurement) -> Mapping[str, object]:
        return {"perplexity": perplexity(found.loss)}
