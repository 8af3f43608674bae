"""Which token is drawn."""

import mlx.core as mx
import pytest

from forgellm.domain.chat import Sampling
from forgellm.inference.sampling import sampler


@pytest.mark.parametrize("temperature", [0, 1e-300, 1e-40, 1e-6, 1e-4])
@pytest.mark.parametrize("precision", [mx.float16, mx.bfloat16, mx.float32])
def test_hardly_any_temperature_draws_the_likeliest(temperature, precision):
    logprobs = mx.array([[-20.0] * 9 + [-8.0]], precision)
    draw = sampler(Sampling(temperature=temperature, seed=1))
    assert [draw(logprobs).item() for _ in range(5)] == [9] * 5
