"""Answering several requests at once, token by token, in the engine's thread.

mlx-lm's batch generator computes; its prompt cache keeps what was computed of earlier turns. Requests for the
plain base and for the base with its adapter take turns, since both use the same weights in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, StopSequences, make_stop_sequences
from mlx_lm.models.cache import LRUPromptCache

from forgellm.domain.chat import Finish, FinishReason, GenerationChunk, GenerationRequest, TokenProbability
from forgellm.domain.errors import ForgeError
from forgellm.inference.answers import AnswerText, Piece
from forgellm.inference.prompts import Prompt
from forgellm.inference.resident import Resident
from forgellm.inference.sampling import processors, sampler
from forgellm.inference.stream import AnswerStream

PREFILL_STEP = 512
"""Tokens of a prompt between two looks at who has left."""


@dataclass
class Active:
    """A request that is being answered. Times are monotonic seconds."""

    stream: AnswerStream
    request: GenerationRequest
    prompt: Prompt
    text: AnswerText
    accepted: float
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token: float | None = None
    generator: BatchGenerator | None = field(default=None, repr=False)


class Batch:
    """The requests that are being answered by one resident model."""

    def __init__(
        self,
        resident: Resident,
        cache: LRUPromptCache,
        *,
        at_once: int,
        on_end: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._cache = cache
        self._at_once = at_once
        self._on_end = on_end
        self._monotonic = monotonic
        self._tokenizer = resident.form.tokenizer
        self._ends: StopSequences = make_stop_sequences(self._tokenizer)
        self._generators: dict[bool, BatchGenerator] = {}
        self._active: dict[tuple[bool, int], Active] = {}

    def __len__(self) -> int:
        return len(self._active)

    def add(self, stream: AnswerStream, request: GenerationRequest, prompt: Prompt) -> None:
        """Begin to answer a request with the others."""
        plain, tokens = request.plain_base, list(prompt.tokens)
        cached, rest = self._known(plain, tokens)
        room = request.sampling.max_tokens
        if self._resident.context is not None:
            room = min(room, self._resident.context - len(tokens))
        generator = self._generator(plain)
        (uid,) = generator.insert(
            [rest],
            max_tokens=[room],
            caches=None if cached is None else [cached],
            all_tokens=[tokens[: len(tokens) - len(rest)]],
            samplers=[sampler(request.sampling)],
            logits_processors=[processors(request.sampling)],
            stop_sequences=[self._ends],
        )
        text = AnswerText(
            self._tokenizer,
            stop=request.stop,
            thinks=prompt.thinks,
            continues=request.prompt is not None,
            tools=request.tools,
        )
        self._active[plain, uid] = Active(
            stream, request, prompt, text, stream.accepted, cached_tokens=len(tokens) - len(rest)
        )

    def step(self) -> None:
        """One more token for every request, or one more piece of its prompt."""
        self._drop_those_who_left()
        for plain, generator in self._generators.items():
            if not any(key[0] == plain for key in self._active):
                continue
            self._resident.model(plain_base=plain)
            _, responses = generator.next()
            for response in responses:
                self._take(plain, response)

    def fail(self, error: ForgeError) -> None:
        """End every answer with `error`."""
        for active in self._active.values():
            active.stream.fail(error)
            self._on_end()
        self._active.clear()

    def close(self) -> None:
        """Let go of the generators and what they hold."""
        for generator in self._generators.values():
            generator.close()
        self._generators.clear()

    def _generator(self, plain: bool) -> BatchGenerator:
        if plain not in self._generators:
            self._generators[plain] = BatchGenerator(
                self._resident.model(plain_base=plain),
                completion_batch_size=self._at_once,
                prefill_batch_size=self._at_once,
                prefill_step_size=PREFILL_STEP,
                # Whatever this thread computes is ordered by its own stream.
                stream=mx.default_stream(mx.default_device()),
            )
        return self._generators[plain]

    def _known(self, plain: bool, tokens: list[int]) -> tuple[list[Any] | None, list[int]]:
        """(the KV cache of the longest known beginning, the tokens behind it, at least one)."""
        key = self._resident.cache_key(plain_base=plain)
        cached, rest = self._cache.fetch_nearest_cache(key, tokens)
        if rest:
            return cached, rest
        cached, rest = self._cache.fetch_nearest_cache(key, tokens[:-1])
        return cached, [*rest, tokens[-1]]

    def _keep(self, plain: bool, tokens: list[int], cache: list[Any]) -> None:
        self._cache.insert_cache(self._resident.cache_key(plain_base=plain), list(tokens), cache)

    def _take(self, plain: bool, response: Any) -> None:
        active = self._active.get((plain, response.uid))
        if active is None:
            return
        active.completion_tokens += 1
        active.first_token = active.first_token or self._monotonic()
        ended = response.finish_reason == "stop"
        piece = Piece() if ended else active.text.add(response.token)
        probabilities = () if ended else self._probabilities(active, response)
        reason: FinishReason | None = "stop" if piece.stopped else response.finish_reason
        if reason is None:
            active.stream.put(GenerationChunk(piece.text, piece.thinking, probabilities))
            return
        if response.finish_reason is None:
            self._remove([(plain, response.uid)])
        else:
            self._keep(plain, response.all_tokens, response.prompt_cache)
            self._forget((plain, response.uid))
        last = Piece() if piece.stopped else active.text.end()
        finish = self._finish(active, reason)
        active.stream.put(
            GenerationChunk(piece.text + last.text, piece.thinking + last.thinking, probabilities, finish)
        )

    def _finish(self, active: Active, reason: FinishReason) -> Finish:
        now = self._monotonic()
        calls = active.text.tool_calls
        first = active.first_token
        spent = now - first if first is not None else 0.0
        speed = (active.completion_tokens - 1) / spent if active.completion_tokens > 1 and spent > 0 else None
        return Finish(
            reason="tool_calls" if calls and reason == "stop" else reason,
            prompt_tokens=len(active.prompt.tokens),
            cached_tokens=active.cached_tokens,
            completion_tokens=active.completion_tokens,
            first_token_seconds=None if first is None else first - active.accepted,
            seconds=now - active.accepted,
            tokens_per_second=speed,
            tool_calls=calls,
        )

    def _probabilities(self, active: Active, response: Any) -> tuple[TokenProbability, ...]:
        wanted = active.request.logprobs
        if wanted is None:
            return ()
        chosen = float(response.logprobs[response.token].item())
        return (TokenProbability(self._text([response.token])[0], chosen, self._likeliest(response, wanted)),)

    def _likeliest(self, response: Any, count: int) -> tuple[tuple[str, float], ...]:
        if count == 0:
            return ()
        order = mx.argsort(-response.logprobs)[:count]
        ids: list[int] = order.tolist()  # type: ignore[assignment]
        values = [float(v) for v in response.logprobs[order].tolist()]
        return tuple(zip(self._text(ids), values, strict=True))

    def _text(self, ids: list[int]) -> list[str]:
        return [str(self._tokenizer.decode([i])) for i in ids]

    def _drop_those_who_left(self) -> None:
        self._remove([key for key, active in self._active.items() if active.stream.cancelled])

    def _forget(self, key: tuple[bool, int]) -> None:
        del self._active[key]
        self._on_end()

    def _remove(self, keys: Iterable[tuple[bool, int]]) -> None:
        """Compute no further for these; what was computed stays known."""
        for plain, uid in list(keys):
            self._forget((plain, uid))
            found = self._generators[plain].remove([uid], return_prompt_caches=True)
            for cache, tokens in found.values():
                if tokens:
                    self._keep(plain, tokens, cache)
