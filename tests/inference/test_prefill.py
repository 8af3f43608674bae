"""What becomes of a prompt's KV cache when the prompt is done."""

import mlx.core as mx
import pytest
from mlx_lm import load as mlx_lm_load

from forgellm.inference.prefill import generator


@pytest.fixture(scope="module")
def model(tiny_model):
    return mlx_lm_load(str(tiny_model))[0]


def begun(model, *prompts):
    made = generator(model, at_once=4, prefill_step=64, stream=mx.default_stream(mx.default_device()))
    made.insert(list(prompts))
    made.next()
    return made


def test_prompts_that_are_done_together_are_handed_over_without_a_copy(model):
    made = begun(model, [5, 6, 7, 8], [9, 10, 11, 12])
    caches = list(made._prompt_batch.prompt_cache)
    made.next()
    assert len(made._prompt_batch) == 0
    assert [id(cache) for cache in made._generation_batch.prompt_cache] == [id(cache) for cache in caches]


def test_a_prompt_that_is_done_before_another_is_answered_as_it_would_be_alone(model):
    def answer(*prompts):
        made = begun(model, *prompts)
        tokens = []
        while len(tokens) < 6:
            _, responses = made.next()
            tokens += [response.token for response in responses if response.uid == 0]
        return tokens

    assert answer([5, 6, 7], [9] * 100) == answer([5, 6, 7])
