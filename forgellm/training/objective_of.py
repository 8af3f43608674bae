"""Which objective a spec asks for, with what it needs from the run's folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from forgellm.data.corpus import Corpus
from forgellm.domain.spec import TrainingSpec
from forgellm.training.batches import BatchOrder
from forgellm.training.dpo import Preferences, preference_loss
from forgellm.training.objectives import Likelihood, Loss, Objective, likelihood
from forgellm.training.packing import Packing
from forgellm.training.reference import pair_lengths, read_reference


def objective_of(
    spec: TrainingSpec, corpus: Corpus, folder: Path, *, packing: Packing | None = None
) -> Objective:
    """What a run in `folder` minimises. Raises ResumeMismatch where its reference is gone."""
    if spec.objective == "dpo":
        return Preferences(corpus, read_reference(folder, corpus), spec.dpo_beta)
    return Likelihood(corpus, packing)


def loss_of(spec: TrainingSpec) -> Loss:
    """What gradients are taken of, for one who has no corpus: the rest comes with a batch."""
    return partial(preference_loss, beta=spec.dpo_beta) if spec.objective == "dpo" else likelihood


def order_of(spec: TrainingSpec, corpus: Corpus, packing: Packing | None = None) -> BatchOrder:
    """The order in which its items, sequences, pairs or shared rows, are trained on."""
    lengths = pair_lengths(corpus) if spec.objective == "dpo" else corpus.train.lengths
    if spec.packing is None:
        return BatchOrder(lengths, spec.batch_size, seed=spec.seed)
    tokens = spec.batch_size * spec.packing
    if packing is None:
        return BatchOrder(lengths, spec.batch_size, seed=spec.seed, tokens=tokens)
    return BatchOrder(packing.lengths, spec.batch_size, seed=spec.seed, tokens=tokens, widths=packing.widths)
