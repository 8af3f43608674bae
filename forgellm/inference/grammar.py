"""Keeping an answer to a JSON schema: before each token, whatever could not lead to such a text is ruled out.

llguidance knows which tokens may follow. It is asked in the engine's thread, in plain memory, not by MLX.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from forgellm.domain.errors import InvalidField

# As json.dumps writes it. Where any white space may follow, small models write nothing else for ever.
_SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def check_schema(schema: Mapping[str, object], tokenizer: Any) -> None:
    """Raises InvalidField for a schema that cannot be followed, or not with this tokenizer (mlx-lm's)."""
    try:
        grammar = _grammar(schema)
        problem = LLMatcher.validate_grammar(grammar)
        if not problem and _leads_nowhere(grammar):
            problem = "no text can begin as it asks, like one that refers to itself alone"
    except ValueError as error:
        problem = str(error)
    if _backend(tokenizer) is None:
        problem = "the resident model's tokenizer is not of the fast kind"
    if problem:
        raise InvalidField(
            f"the JSON schema cannot be followed: {problem:.300}",
            details={"field": "response_format"},
            suggestion="Simplify the schema: https://github.com/guidance-ai/llguidance lists what it knows.",
        )


class Vocabulary:
    """A tokenizer's tokens as llguidance reads them, made when they are first needed: it takes a moment."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.ends: list[int] = sorted(tokenizer.eos_token_ids)
        self._known: dict[int, LLTokenizer] = {}

    def of_size(self, size: int) -> LLTokenizer:
        """For logits of `size` tokens, of which the last may stand for nothing."""
        if size not in self._known:
            # llguidance's own function for this imports more of transformers than there is.
            backend = copy.copy(_backend(self._tokenizer))
            backend.no_padding()
            backend.no_truncation()
            self._known[size] = LLTokenizer(backend.to_str(), n_vocab=size, eos_token=self.ends)
        return self._known[size]


class SchemaProcessor:
    """A logits processor for one answer, whose prompt has `start` tokens. Where the prompt ends inside a
    thought, the schema holds from behind the token `thought_end` on.
    """

    def __init__(
        self,
        schema: Mapping[str, object],
        vocabulary: Vocabulary,
        *,
        start: int,
        thought_end: int | None,
    ) -> None:
        self._grammar = _grammar(schema)
        self._vocabulary = vocabulary
        self._start = start
        self._thought_end = thought_end
        self._matcher: LLMatcher | None = None
        self._consumed: list[int] = []

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        """`logits` (1, vocabulary) of what comes after all `tokens` so far."""
        answer = self._behind_thought([int(token) for token in np.array(tokens[self._start :])])
        if answer is None:
            return logits
        size = logits.shape[-1]
        matcher = self._matcher
        if matcher is None:
            matcher = self._matcher = LLMatcher(self._vocabulary.of_size(size), self._grammar)
        self._follow(matcher, answer)
        allowed = _allowed(matcher, size, ends=self._vocabulary.ends)
        return mx.where(mx.array(allowed), logits, -mx.inf)

    def _behind_thought(self, generated: list[int]) -> list[int] | None:
        if self._thought_end is None:
            return generated
        if self._thought_end not in generated:
            return None
        return generated[generated.index(self._thought_end) + 1 :]

    def _follow(self, matcher: LLMatcher, answer: Sequence[int]) -> None:
        """Take in what was drawn; a draft that was not accepted is taken back."""
        same = 0
        while same < min(len(answer), len(self._consumed)) and answer[same] == self._consumed[same]:
            same += 1
        if same < len(self._consumed):
            matcher.rollback(len(self._consumed) - same)
        matcher.consume_tokens(list(answer[same:]))
        self._consumed = list(answer)


def _backend(tokenizer: Any) -> Any:
    """The tokenizers library's part of it; None in the slow kind, which has none."""
    return getattr(tokenizer._tokenizer, "backend_tokenizer", None)


def _leads_nowhere(grammar: str) -> bool:
    """Whether there is nothing to begin with, which shows only when the first token is looked for."""
    matcher = LLMatcher(LLTokenizer("byte"), grammar)
    matcher.compute_bitmask()
    return bool(matcher.is_error())


def _grammar(schema: Mapping[str, object]) -> str:
    return str(LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=_SPACING))


def _allowed(matcher: LLMatcher, size: int, *, ends: Sequence[int]) -> Any:
    """Which tokens may follow, booleans (1, size): behind a text that is whole, only those that end it."""
    if matcher.is_stopped():
        allowed = np.zeros((1, size), bool)
        allowed[:, list(ends)] = True
        return allowed
    bits = allocate_token_bitmask(1, size)
    fill_next_token_bitmask(matcher, bits)
    return np.unpackbits(bits.view(np.uint8), axis=-1, bitorder="little")[:, :size].astype(bool)
