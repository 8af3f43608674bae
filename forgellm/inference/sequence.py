"""Answering one request after the other: with a quantized KV cache or a draft model, which do not batch.

The draft model proposes tokens that the resident one accepts or replaces; what comes out is the resident
model's. Leviathan et al. 2023, as mlx-lm does it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.generate import stream_generate
from mlx_lm.models.cache import make_prompt_cache

from forgellm.domain.chat import FinishReason, GenerationRequest
from forgellm.domain.errors import ForgeError, InvalidModel
from forgellm.inference.active import Active
from forgellm.inference.batch import PREFILL_STEP
from forgellm.inference.known import Cache, KnownPrompts
from forgellm.inference.prompts import Prompt
from forgellm.inference.resident import Resident
from forgellm.inference.sampling import Processor, sampler
from forgellm.inference.stream import AnswerStream

KV_GROUP_SIZES = (64, 32)
"""What MLX can quantize a head's keys and values in."""


class _Left(Exception):
    """Nobody waits any more for the answer whose prompt is being computed."""


@dataclass
class _Current:
    """The request that is being answered, and what its tokens come from."""

    active: Active
    tokens: list[int]
    cache: Cache
    responses: Iterator[Any]


class Sequence:
    """Stands in for a `Batch`; `kv_bits` quantize the KV cache, `draft` proposes tokens."""

    def __init__(
        self,
        resident: Resident,
        known: KnownPrompts,
        *,
        kv_bits: int | None,
        draft: nn.Module | None,
        on_end: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._known = known
        self._kv_bits = kv_bits
        self._draft = draft
        self._on_end = on_end
        self._monotonic = monotonic
        self._waiting: deque[tuple[AnswerStream, GenerationRequest, Prompt]] = deque()
        self._current: _Current | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self._current is not None)

    def add(self, stream: AnswerStream, request: GenerationRequest, prompt: Prompt) -> None:
        """Answer a request after those that came before it."""
        self._waiting.append((stream, request, prompt))

    def step(self) -> None:
        """One more token for the request whose turn it is."""
        if self._current is None:
            # Left in its place until it has begun: a failure ends every answer that is here.
            stream, request, prompt = self._waiting[0]
            if stream.cancelled:
                self._waiting.popleft()
                self._on_end()
                return
            self._current = self._begin(stream, request, prompt)
            self._waiting.popleft()
        if self._current.active.stream.cancelled or self._take(self._current):
            self._end(self._current)

    def fail(self, error: ForgeError) -> None:
        """End every answer with `error`."""
        streams = [stream for stream, _, _ in self._waiting]
        streams += [self._current.active.stream] if self._current else []
        for stream in streams:
            stream.fail(error)
            self._on_end()
        self._waiting.clear()
        self._current = None

    def close(self) -> None:
        """Nothing is held between two requests."""

    def _begin(self, stream: AnswerStream, request: GenerationRequest, prompt: Prompt) -> _Current:
        model = self._resident.model(plain_base=request.plain_base)
        form = self._resident.form
        tokens = list(prompt.tokens)
        cache, rest = self._known.find(tokens, plain_base=request.plain_base)
        if cache is None:
            cache = make_prompt_cache(model)
            cache += make_prompt_cache(self._draft) if self._draft is not None else []
        known = len(tokens) - len(rest)
        # mlx-lm shows its processors what it computes: all of `rest`, or with a draft model its last token.
        unseen = known if self._draft is None else len(tokens) - 1
        responses = stream_generate(
            model,
            form.tokenizer,
            rest,
            max_tokens=self._resident.room(prompt, request.sampling.max_tokens),
            draft_model=self._draft,
            sampler=sampler(request.sampling),
            logits_processors=[
                _seeing(tokens[:unseen], processor)
                for processor in self._resident.processors(request, prompt)
            ],
            prompt_cache=cache,
            prefill_step_size=PREFILL_STEP,
            **({} if self._draft is not None else self._plainly(stream)),
        )
        active = Active(stream, request, prompt, form, known, self._monotonic)
        return _Current(active, tokens, cache, responses)

    def _plainly(self, stream: AnswerStream) -> dict[str, Any]:
        """What mlx-lm takes only without a draft model."""

        def look(done: int, _: int) -> None:
            if stream.cancelled and done:
                raise _Left

        quantized = {"kv_bits": self._kv_bits, "kv_group_size": self._group_size(), "quantized_kv_start": 0}
        return {"prompt_progress_callback": look, **(quantized if self._kv_bits is not None else {})}

    def _group_size(self) -> int:
        return next(size for size in KV_GROUP_SIZES if self._resident.head_size % size == 0)

    def _take(self, current: _Current) -> bool:
        """Whether the answer is over."""
        try:
            response = next(current.responses)
        except _Left:
            return True
        current.tokens.append(response.token)
        reason: FinishReason | None = response.finish_reason
        return current.active.take(response.token, response.logprobs, reason)

    def _end(self, current: _Current) -> None:
        current.responses.close()  # type: ignore[attr-defined]
        self._current = None
        self._on_end()
        # The draft model's part of the cache may end elsewhere, and the last token was not computed with.
        size = getattr(current.cache[0], "offset", 0) if self._draft is None else 0
        if 0 < size <= len(current.tokens):
            plain = current.active.request.plain_base
            self._known.keep(current.tokens[:size], current.cache, plain_base=plain)


def _seeing(before: list[int], processor: Processor) -> Processor:
    """`processor`, which is to see the tokens `before` those that it is shown."""
    if not before:
        return processor
    beginning = mx.array(before, mx.uint32)
    return lambda tokens, logits: processor(mx.concatenate([beginning, tokens]), logits)


def check_kv_bits(kv_bits: int | None, resident: Resident) -> None:
    """That the model's keys and values can be quantized. Raises InvalidModel."""
    if kv_bits is not None and not any(resident.head_size % size == 0 for size in KV_GROUP_SIZES):
        raise InvalidModel(
            f"the KV cache of {resident.source.target.model_name} cannot be quantized: its heads are "
            f"{resident.head_size} wide",
            suggestion="Start the model server without --kv-bits.",
        )
