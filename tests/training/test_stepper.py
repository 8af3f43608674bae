"""One update: what it takes of memory. Its losses are proven where the objectives are."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest

from forgellm.domain.updates import FUSED_BYTES
from forgellm.training.batches import collate
from forgellm.training.stepper import Stepper
from tests.training.loops import random_sequences


def weight_decay_alone(model, *_arrays, chunking):
    return sum(layer.weight.square().sum() for layer in model.layers), {}


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_of_large_weights_replaces_them_one_by_one(compiled):
    width, count = 1024, FUSED_BYTES // (4 * 1024 * 1024) + 1
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(count)))
    optimizer = optim.AdamW(1e-3)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.parameters(), optimizer.state)
    stepper = Stepper(model, optimizer, max_grad_norm=1.0, compiled=compiled, loss=weight_decay_alone)
    batch = collate(random_sequences([9]), np.arange(1), 9, rows=1)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    stepper.update([batch], 1e-3)
    # The gradients, and what is under way beside them; 3 more with all of it side by side.
    assert mx.get_peak_memory() - before < 2.5 * count * 4 * width * width
