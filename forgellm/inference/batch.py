"""Answering several requests at once, token by token, in the engine's thread, by mlx-lm's batch generator.

Requests for the plain base and for the base with its adapter take turns, since both use the same weights in
memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, StopSequences, make_stop_sequences

from forgellm.domain.chat import GenerationRequest
from forgellm.domain.errors import ForgeError
from forgellm.inference.active import Active
from forgellm.inference.known import KnownPrompts
from forgellm.inference.prefill import generator
from forgellm.inference.prompts import Prompt
from forgellm.inference.resident import Resident
from forgellm.inference.sampling import sampler
from forgellm.inference.stream import AnswerStream

PREFILL_STEP = 512
"""Tokens of a prompt between two looks at who has left."""


class Batch:
    """The requests that are being answered by one resident model, `at_once` of them together.

    `on_end` is called once for each request that is over, in whatever way.
    """

    def __init__(
        self,
        resident: Resident,
        known: KnownPrompts,
        *,
        at_once: int,
        on_end: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._known = known
        self._at_once = at_once
        self._on_end = on_end
        self._monotonic = monotonic
        self._ends: StopSequences = make_stop_sequences(resident.form.tokenizer)
        self._generators: dict[bool, BatchGenerator] = {}
        self._active: dict[tuple[bool, int], Active] = {}

    def __len__(self) -> int:
        return len(self._active)

    def add(self, stream: AnswerStream, request: GenerationRequest, prompt: Prompt) -> None:
        """Begin to answer a request with the others."""
        plain, tokens = request.plain_base, list(prompt.tokens)
        cached, rest = self._known.find(tokens, plain_base=plain)
        known = len(tokens) - len(rest)
        (uid,) = self._generator(plain).insert(
            [rest],
            max_tokens=[self._resident.room(prompt, request.sampling.max_tokens)],
            caches=None if cached is None else [cached],
            all_tokens=[tokens[:known]],
            samplers=[sampler(request.sampling)],
            logits_processors=[self._resident.processors(request, prompt)],
            stop_sequences=[self._ends],
        )
        form = self._resident.form
        self._active[plain, uid] = Active(stream, request, prompt, form, known, self._monotonic)

    def step(self) -> None:
        """One more token for every request, or one more piece of its prompt."""
        self._remove([key for key, active in self._active.items() if active.stream.cancelled])
        for plain, batch in self._generators.items():
            if any(key[0] == plain for key in self._active):
                self._resident.model(plain_base=plain)
                _, responses = batch.next()
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
        for one in self._generators.values():
            one.close()
        self._generators.clear()

    def _generator(self, plain: bool) -> BatchGenerator:
        if plain not in self._generators:
            self._generators[plain] = generator(
                self._resident.model(plain_base=plain),
                at_once=self._at_once,
                prefill_step=PREFILL_STEP,
                # Whatever this thread computes is ordered by its own stream.
                stream=mx.default_stream(mx.default_device()),
            )
        return self._generators[plain]

    def _take(self, plain: bool, response: BatchGenerator.Response) -> None:
        active = self._active.get((plain, response.uid))
        if active is None:
            return
        over = active.take(response.token, response.logprobs, response.finish_reason)
        if response.finish_reason is not None:
            self._known.keep(response.all_tokens, response.prompt_cache, plain_base=plain)
            self._forget((plain, response.uid))
        elif over:
            self._remove([(plain, response.uid)])

    def _remove(self, keys: Iterable[tuple[bool, int]]) -> None:
        """Compute no further for these; what was computed stays known."""
        for plain, uid in list(keys):
            self._forget((plain, uid))
            found = self._generators[plain].remove([uid], return_prompt_caches=True)
            for cache, tokens in found.values():
                if tokens:
                    self._known.keep(tokens, cache, plain_base=plain)

    def _forget(self, key: tuple[bool, int]) -> None:
        del self._active[key]
        self._on_end()
