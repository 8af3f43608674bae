"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290).

The loss of a pair is -log sigmoid(m) with m = beta ((log p(chosen) - log p_ref(chosen)) - (log p(rejected) -
log p_ref(rejected))), where log p sums over the tokens of an answer. The reference is the base without an
adapter: `reference` measures it once, before anything is attached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences
from forgellm.training.batches import Batch, IntArray, collate
from forgellm.training.chunked_loss import Chunking
from forgellm.training.losses import Measurement, Sums, log_probabilities, sequence_losses
from forgellm.training.objectives import Loss
from forgellm.training.output_layer import Layer
from forgellm.training.reference import Reference, rows_of


def preference_loss(
    model: nn.Module,
    tokens: mx.array,
    learned: mx.array,
    reference: mx.array,
    scale: mx.array,
    *,
    beta: float,
    chunking: Chunking | None = None,
) -> tuple[mx.array, dict[str, mx.array]]:
    """`scale` times the sum of the losses of the pairs in a batch [2 pairs, width], each chosen row first.

    Rows without a learned token are no pair. The metrics are scaled alike: with 1 / pairs they are means.
    """
    rewards = beta * (log_probabilities(model, tokens, learned, chunking=chunking) - reference)
    chosen, rejected = rewards[0::2], rewards[1::2]
    margin = chosen - rejected
    present = learned[0::2].any(axis=1)

    def total(values: mx.array) -> mx.array:
        return mx.where(present, values, 0.0).sum() * scale

    return total(nn.softplus(-margin)), {
        "reward_margin": total(margin),
        "reward_accuracy": total((margin > 0).astype(mx.float32)),
        "chosen_reward": total(chosen),
        "rejected_reward": total(rejected),
    }


@dataclass(frozen=True)
class Preferences:
    """The mean DPO loss of pairs of rows in `corpus`, in nats per pair."""

    corpus: Corpus
    reference: Reference
    beta: float

    @property
    def loss(self) -> Loss:
        return partial(preference_loss, beta=self.beta)

    @property
    def targets(self) -> int:
        return len(self.corpus.train) // 2

    def batch(self, indices: IntArray, width: int, *, rows: int) -> Batch:
        return pair_batch(self.corpus.train, indices, width, rows=rows, reference=self.reference.train)

    def measure(self, model: nn.Module, *, layer: Layer = None) -> Measurement:
        sums, counts = sequence_losses(model, self.corpus.valid, layer=layer)
        rewards = self.beta * (-sums - self.reference.valid)
        chosen, rejected = rewards[0::2], rewards[1::2]
        margin = chosen - rejected
        losses = np.logaddexp(0.0, -margin)
        metrics = {
            "reward_margin": margin.mean(),
            "reward_accuracy": (margin > 0).mean(),
            "chosen_reward": chosen.mean(),
            "rejected_reward": rejected.mean(),
        }
        return Measurement(
            float(losses.mean()),
            int(counts.sum()),
            tuple((float(one), 1) for one in losses),
            {name: float(value) for name, value in metrics.items()},
        )

    def said(self, found: Measurement) -> Mapping[str, object]:
        # exp of this loss is no perplexity.
        rewards = {f"validation_{name}": value for name, value in found.metrics.items()}
        return {"perplexity": None, "validation_pairs": len(found.sequence_losses), **rewards}


def pair_batch(sequences: Sequences, indices: IntArray, width: int, *, rows: int, reference: Sums) -> Batch:
    """The pairs at `indices` in [2 rows, width], each chosen row before its rejected one."""
    both = rows_of(indices)
    known = np.zeros(2 * rows, np.float32)
    known[: len(both)] = reference[both]
    found = collate(sequences, both, width, rows=2 * rows)
    return replace(found, targets=len(indices), reference=known)
