"""What other systems call the settings of a training run, in ForgeLLM's words. Each dialect names its own
fields; what they mean is translated here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from forgellm.domain.spec import TrainingSpec
from forgellm.forge import Forge
from forgellm.services.target_modules import keys_of
from forgellm.storage.models import context_length, find_model


@dataclass(frozen=True)
class Learning:
    """None is what was not asked for: ForgeLLM's own default. `length` is the most tokens of a row, `alpha`
    divided by `rank` the factor on the low-rank product, `modules` the last names of modules."""

    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    length: int | None = None
    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    modules: Sequence[str] | None = None


def instruction_run(
    forge: Forge, *, model_name: str, dataset: str, wanted: Learning, **more: object
) -> dict[str, object]:
    """The fields of a spec that trains `model_name` on the instructions of `dataset`, with `more` of them.

    Raises InvalidField for unknown modules, ModelNotFound, InvalidModel.
    """
    values: dict[str, object] = {
        "training_type": "ift",
        "model_name": model_name,
        "dataset": dataset,
        "epochs": wanted.epochs,
        "batch_size": wanted.batch_size,
        "learning_rate": wanted.learning_rate,
        "max_seq_length": _length(forge, model_name, wanted.length),
        "lora_rank": wanted.rank,
        "lora_scale": _scale(wanted),
        "lora_dropout": wanted.dropout,
        "lora_keys": keys_of(forge, model_name, wanted.modules) if wanted.modules else None,
        **more,
    }
    return {name: value for name, value in values.items() if value is not None}


def number(value: object) -> float | int | None:
    """A value of a spec where it is a number: a run's file may have been written by hand."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None  # type: ignore[return-value]


def whole(value: object) -> object:
    """A number without a fraction as the integer that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def alpha_of(spec: dict[str, object]) -> float | None:
    """The alpha of a spec: its scale times its rank."""
    scale, rank = spec.get("lora_scale"), spec.get("lora_rank")
    known = isinstance(scale, (int, float)) and isinstance(rank, int)
    return float(scale) * rank if known else None  # type: ignore[arg-type, operator]


def _scale(wanted: Learning) -> float | None:
    return None if wanted.alpha is None else wanted.alpha / (wanted.rank or TrainingSpec.lora_rank)


def _length(forge: Forge, model_name: str, asked: int | None) -> int | None:
    """Elsewhere it bounds the rows and says nothing of the model: no more than its context."""
    if asked is None:
        return None
    config = find_model(forge.workspace, forge.hub_cache, model_name).config
    return min(asked, context_length(config) or asked)
