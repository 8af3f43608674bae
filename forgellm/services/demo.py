"""The built-in main job: what it trains, on what, and the gain that was measured. Nothing in it is asserted.

The small base model and the sample data ship with the package and are copied into the workspace, so that
they can be looked at, changed and trained on again like a person's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forgellm.domain.metrics import series
from forgellm.domain.runs import Run
from forgellm.services import runs, samples
from forgellm.services.parts import Parts
from forgellm.services.samples import DOMAIN, GENERAL, MODEL, QUESTIONS

BASE = f"models/base/{MODEL}"

CPT: Mapping[str, object] = {
    "model_name": BASE,
    "training_type": "cpt",
    "dataset": DOMAIN,
    "general_dataset": GENERAL,
    "data_mixture_ratio": 0.8,
    "fine_tune_type": "full",
    "train_also": ["embeddings", "norms"],
    "learning_rate": 7e-4,
    "weight_decay": 0.01,
    "warmup_steps": 10,
    "batch_size": 8,
    "max_seq_length": 129,
    "max_iterations": 260,
    "eval_every": 52,
    "save_every": 52,
    "validation_tokens": 8192,
}
IFT: Mapping[str, object] = {
    "training_type": "ift",
    "dataset": QUESTIONS,
    "fine_tune_type": "full",
    "train_also": ["embeddings", "norms"],
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup_steps": 10,
    "batch_size": 32,
    "max_iterations": 300,
    "eval_every": 60,
    "save_every": 60,
}


def halved(spec: Mapping[str, object]) -> Mapping[str, object]:
    """The same run with half of its iterations, and half as far between its checkpoints."""
    lengths = ("max_iterations", "eval_every", "save_every")
    return {**spec, **{name: int(str(spec[name])) // 2 for name in lengths}}


@dataclass(frozen=True)
class Gain:
    """A validation loss, in nats per token, before the first iteration and of the best checkpoint."""

    before: float
    after: float
    general_before: float | None
    general_after: float | None


def prepare(parts: Parts) -> list[str]:
    """Copy the base model and the sample datasets to where they are missing; the folders it made."""
    made = [BASE] if samples.bring_model(parts) else []
    return made + [f"dataset/{n}" for n in (DOMAIN, GENERAL, QUESTIONS) if samples.bring_dataset(parts, n)]


def gain(parts: Parts, run: Run) -> Gain:
    """What `run` gained, from its own measurements."""
    events = runs.events(parts, run)
    best = runs.checkpoints(parts, run)[0]
    general = dict(series(events, "general_validation_loss"))
    losses = dict(series(events, "validation_loss"))
    return Gain(losses[0], losses[best.iteration], general.get(0), general.get(best.iteration))


def outcome(parts: Parts, run: Run) -> Mapping[str, object]:
    """The values of a completed run's last event."""
    return runs.status(parts, run).progress.end or {}
