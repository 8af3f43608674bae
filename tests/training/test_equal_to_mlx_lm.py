"""On rows of equal length the loss curve is that of mlx-lm's own trainer (mlx_lm.tuner.trainer.train)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import build_schedule, linear_to_lora_layers
from mlx_lm.utils import load_model

from forgellm.data.sequences import Sequences
from forgellm.domain.spec import TrainingSpec
from forgellm.training.batches import BatchOrder, Cursor
from tests.training.loops import Run, a_spec, random_sequences

LENGTH = 48


class Curve:
    """mlx-lm's callback: the training loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []

    def on_train_loss_report(self, info: dict[str, Any]) -> None:
        self.losses.append(info["train_loss"])
        self.rates.append(info["learning_rate"])

    def on_val_loss_report(self, info: dict[str, Any]) -> None:
        raise AssertionError("no validation set was given")


def mlx_lm_curve(model_path: Path, spec: TrainingSpec, sequences: Sequences, folder: Path) -> Curve:
    """Train with mlx-lm on the same rows in the same order with the same settings and seed."""
    model, _ = load_model(model_path)
    model.freeze()
    mx.random.seed(spec.seed)
    if spec.fine_tune_type == "full":
        for block in model.layers:
            block.unfreeze()
    else:
        parameters = {"rank": spec.lora_rank, "scale": spec.lora_scale, "dropout": spec.lora_dropout}
        linear_to_lora_layers(model, -1, parameters, use_dora=spec.fine_tune_type == "dora")
    updates = spec.max_iterations or 0
    decay = updates - spec.warmup_steps
    schedule = {
        "name": "cosine_decay",
        "arguments": [spec.learning_rate, decay, spec.learning_rate * spec.lr_final_factor],
        "warmup": spec.warmup_steps,
    }
    optimizer = optim.AdamW(build_schedule(schedule), weight_decay=spec.weight_decay)
    curve = Curve()
    args = TrainingArgs(
        batch_size=spec.batch_size,
        iters=updates * spec.grad_accumulation_steps,
        steps_per_report=spec.grad_accumulation_steps,
        steps_per_save=10**6,
        max_seq_length=LENGTH,
        adapter_file=str(folder / "adapters.safetensors"),
        grad_accumulation_steps=spec.grad_accumulation_steps,
    )

    def same_order(**_: object) -> Iterator[tuple[mx.array, mx.array]]:
        order = BatchOrder(sequences.lengths, spec.batch_size, seed=spec.seed)
        for _, indices, _ in order.from_cursor(Cursor()):
            rows = np.stack([sequences[int(i)][0] for i in indices])
            yield mx.array(rows), mx.array([[0, LENGTH]] * len(rows))

    train(model, optimizer, [0], args=args, iterate_batches=same_order, training_callback=curve)
    return curve


@pytest.mark.parametrize(
    "settings",
    [
        {"fine_tune_type": "lora"},
        {"fine_tune_type": "lora", "lora_dropout": 0.1},
        {"fine_tune_type": "dora"},
        {"fine_tune_type": "full", "learning_rate": 3e-4},
        {"fine_tune_type": "lora", "grad_accumulation_steps": 3},
        {"fine_tune_type": "full", "grad_accumulation_steps": 2, "learning_rate": 3e-4},
        {"fine_tune_type": "lora", "warmup_steps": 5, "lr_final_factor": 0.05},
    ],
    ids=lambda s: "-".join(f"{k}={v}" for k, v in s.items()),
)
def test_the_loss_curve_equals_mlx_lms_on_rows_of_equal_length(
    run_loop: Run, tiny_model: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    spec = a_spec(
        **{"max_iterations": 20, "max_grad_norm": None, "eval_every": 100, "save_every": 100, "seed": 7}
        | settings
    )
    sequences = random_sequences([LENGTH] * 32, seed=3)
    theirs = mlx_lm_curve(tiny_model, spec, sequences, tmp_path)
    ours = run_loop(spec, train=sequences)
    assert np.ptp(theirs.losses) > 1e-3, "nothing was learned, so nothing was compared"
    assert np.abs(np.array(ours.losses) - np.array(theirs.losses)).max() <= 1e-5
    assert np.allclose(ours.recorder.values("train", "learning_rate"), theirs.rates, rtol=1e-5, atol=1e-12)
