"""What training is said to take beforehand is about what MLX then takes."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from forgellm.domain.spec import parse_spec
from forgellm.services.learnable import learnable
from forgellm.services.memory import estimate
from forgellm.storage.adapters import config_of
from forgellm.storage.models import ModelFolder, read_model_config
from forgellm.training.adapters import attach, load_base
from forgellm.training.batches import Batch
from forgellm.training.optimizers import build_optimizer
from forgellm.training.stepper import Stepper

LENGTH = 256


@pytest.mark.parametrize(
    "change",
    [{}, {"batch_size": 8}, {"fine_tune_type": "full"}, {"num_layers": 1}, {"lora_rank": 64}],
    ids=str,
)
def test_the_peak_of_a_training_step_is_about_what_was_said(tiny_model, change):
    wish = {"model_name": "tiny", "training_type": "cpt", "dataset": "none", "batch_size": 4, "lora_rank": 8}
    spec = parse_spec({**wish, **change})
    base = ModelFolder("tiny", tiny_model, read_model_config("tiny", tiny_model))
    found = estimate(base, spec, learnable(base, spec), length=LENGTH)
    # Nothing is validated here.
    said = found.total - found.validation
    assert measured_peak(tiny_model, spec) == pytest.approx(said, rel=0.25)


def measured_peak(path, spec) -> int:
    mx.clear_cache()
    before = mx.get_active_memory()
    model, _ = load_base(path)
    attach(model, config_of(spec))
    optimizer = build_optimizer(spec)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.parameters(), optimizer.state)
    stepper = Stepper(model, optimizer, max_grad_norm=1.0, compiled=False)
    shape = (spec.batch_size, LENGTH)
    tokens = np.random.default_rng(0).integers(5, 400, shape).astype(np.int32)
    batch = Batch(tokens, np.ones(shape, np.bool_), tokens.size, tokens.size)
    mx.reset_peak_memory()
    for _ in range(2):
        stepper.update([batch], 1e-4)
    return int(mx.get_peak_memory()) - before
