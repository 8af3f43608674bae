"""Drawing the next token: the samplers and penalties of one request, over mlx-lm's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_logits_processors

from forgellm.domain.chat import Sampling

_COLD = 1e-5
"""Below it the likeliest token is taken: divided by less, every log-probability is minus infinity."""

Sampler = Callable[[mx.array], mx.array]
Processor = Callable[[mx.array, mx.array], mx.array]


def sampler(sampling: Sampling) -> Sampler:
    """From log-probabilities (batch, vocabulary) to tokens (batch).

    A seed gives the request a random state of its own, so that it repeats whoever else is answered.
    """
    if sampling.temperature < _COLD:
        # The same object for all: one call then serves every answer of a batch.
        return _likeliest
    filters = _filters(sampling)
    draws = _Draws(sampling.seed)

    def draw(logprobs: mx.array) -> mx.array:
        for apply in filters:
            logprobs = apply(logprobs)
        # From the likeliest on: half precision holds no more than 65504, and beyond nothing is left to draw.
        below = (logprobs - logprobs.max(axis=-1, keepdims=True)).astype(mx.float32)
        return mx.random.categorical(below / sampling.temperature, key=draws.next_key())

    return draw


def _likeliest(logprobs: mx.array) -> mx.array:
    return mx.argmax(logprobs, axis=-1)


def processors(sampling: Sampling) -> list[Processor]:
    """What changes the logits before sampling, in mlx-lm's order and with its windows of 20 tokens."""
    wanted: dict[str, Any] = {
        "repetition_penalty": None if sampling.repetition_penalty == 1.0 else sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
    }
    made: list[Processor] = make_logits_processors(**wanted)
    return made


def _filters(sampling: Sampling) -> list[Sampler]:
    filters: list[Sampler] = []
    if sampling.top_p < 1.0:
        filters.append(lambda x: apply_top_p(x, sampling.top_p))
    if sampling.min_p > 0.0:
        filters.append(lambda x: apply_min_p(x, sampling.min_p))
    if sampling.top_k > 0:
        # mlx-lm raises where there is nothing to cut off.
        filters.append(lambda x: apply_top_k(x, sampling.top_k) if sampling.top_k < x.shape[-1] else x)
    return filters


class _Draws:
    """The keys of one request's draws, one after the other; without a seed the thread's own state serves."""

    def __init__(self, seed: int | None) -> None:
        self._key = None if seed is None else mx.random.key(seed)

    def next_key(self) -> mx.array | None:
        if self._key is None:
            return None
        self._key, key = mx.random.split(self._key)
        return key
