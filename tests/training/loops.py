"""Sequences of random tokens, short specs, and what a training loop said while it ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mlx.nn as nn
import numpy as np

from forgellm.data.sequences import Sequences, join
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.training.loop import Ending

VOCABULARY = 400


def random_sequences(
    lengths: list[int], seed: int = 0, *, learned_share: float = 1.0, vocabulary: int = VOCABULARY
) -> Sequences:
    """Sequences of the given lengths; about `learned_share` of their tokens are targets."""
    rng = np.random.default_rng(seed)
    return join(
        (rng.integers(5, vocabulary, n).astype(np.int32), rng.random(n) < learned_share) for n in lengths
    )


@dataclass
class Recorder:
    """What a loop emitted, and the command it is given at each iteration."""

    events: list[dict[str, Any]] = field(default_factory=list)
    commands: dict[int, str] = field(default_factory=dict)

    def emit(self, type: str, **values: Any) -> None:
        self.events.append({"type": type, **values})

    def control(self) -> str:
        done = sum(e["type"] == "train" for e in self.events)
        return self.commands.get(done, "run")

    def values(self, type: str, key: str) -> list[Any]:
        return [e[key] for e in self.events if e["type"] == type]


@dataclass(frozen=True)
class Trained:
    """A finished loop: its model, what it emitted, how it ended."""

    model: nn.Module
    recorder: Recorder
    ending: Ending

    @property
    def losses(self) -> list[float]:
        return self.recorder.values("train", "training_loss")


Run = Callable[..., Trained]


def a_spec(**values: object) -> TrainingSpec:
    """A short LoRA run, overridden by `values`."""
    base: dict[str, object] = {
        "model_name": "tiny",
        "training_type": "cpt",
        "dataset": "none",
        "lora_rank": 4,
        "learning_rate": 1e-3,
        "batch_size": 4,
        "max_iterations": 12,
        "save_every": 4,
        "eval_every": 4,
    }
    return parse_spec(base | values)
