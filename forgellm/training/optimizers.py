"""The optimisers of a spec. The learning rate is set before every update, so none is scheduled inside."""

from __future__ import annotations

import mlx.optimizers as optim

from forgellm.domain.spec import TrainingSpec


def build_optimizer(spec: TrainingSpec) -> optim.Optimizer:
    """The optimiser a spec names, with mlx's defaults for everything the spec does not say.

    Adafactor runs without its relative step and parameter scaling: with them it would ignore the
    learning rate that the person set.
    """
    rate, decay = spec.learning_rate, spec.weight_decay
    if spec.optimizer == "adamw":
        return optim.AdamW(rate, weight_decay=decay)
    if spec.optimizer == "adam":
        return optim.Adam(rate)
    if spec.optimizer == "muon":
        return optim.Muon(rate, weight_decay=decay)
    if spec.optimizer == "sgd":
        return optim.SGD(rate, weight_decay=decay)
    return optim.Adafactor(rate, relative_step=False, scale_parameter=False, weight_decay=decay)
