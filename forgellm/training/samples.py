"""Answers of the weights that are being trained, to a person's own prompts: greedy, short, one at a time.

Nothing of the training changes by it: no random number is drawn, and no array of it outlives an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.cache import make_prompt_cache

from forgellm.data.chat import UnmaskableExample, chat_format, prompt
from forgellm.data.endings import unnamed_end
from forgellm.domain.chat import Message
from forgellm.domain.errors import InvalidField

LONGEST = 128
"""Tokens of an answer."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Question:
    """A prompt in the form that the run trains, as token ids."""

    prompt: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """An answer; not `finished` where it was cut off at LONGEST."""

    text: str
    finished: bool


@dataclass(frozen=True)
class Questions:
    """Everything that is asked, the tokens that end an answer, and how ids become text."""

    asked: tuple[Question, ...]
    ends: frozenset[int]
    decode: Callable[[list[int]], str]


def questions(
    tokenizer: Any, prompts: Sequence[str], *, as_chat: bool, ends: Collection[int], longest: int
) -> Questions:
    """The prompts as the model will see them: as a user's messages, or as beginnings of a text.

    Raises InvalidField where one has more than `longest` tokens, or the chat template refuses it.
    """
    encode = _chat_encoder(tokenizer) if as_chat else _text_encoder(tokenizer)
    asked = []
    for number, text in enumerate(prompts, 1):
        tokens = encode(text)
        if not 1 <= len(tokens) <= longest:
            raise InvalidField(
                f"sample prompt {number} has {len(tokens)} tokens, and a sequence has at most {longest}",
                details={"field": "sample_prompts", "number": number, "longest": longest},
                suggestion="Shorten it, or raise max_seq_length.",
            )
        asked.append(Question(text, tuple(tokens)))
    known = {*ends, tokenizer.eos_token_id}
    taught = unnamed_end(tokenizer, known) if as_chat else None
    return Questions(tuple(asked), frozenset({*known, taught} - {None}), _decoder(tokenizer))


def end_tokens(config: Mapping[str, object]) -> Iterator[int]:
    """The ids that end an answer, by a model's configuration."""
    found = config.get("eos_token_id")
    yield from (i for i in (found if isinstance(found, list) else [found]) if type(i) is int)


def answer(model: nn.Module, question: Question, known: Questions) -> Sample:
    """What the model says next, always its likeliest token. It is left in evaluation mode."""
    model.eval()
    cache = make_prompt_cache(model)
    said: list[int] = []
    tokens = list(question.tokens)
    while len(said) < LONGEST:
        logits: mx.array = model(mx.array([tokens]), cache=cache)
        token: int = mx.argmax(logits[0, -1]).item()  # type: ignore[assignment]
        if token in known.ends:
            return Sample(known.decode(said), True)
        said.append(token)
        tokens = [token]
    # The last character may be cut in its middle.
    return Sample(known.decode(said).rstrip(_REPLACEMENT), False)


def _chat_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    form = chat_format(tokenizer)

    def encode(text: str) -> list[int]:
        try:
            asked = prompt(form, [Message("user", text)])
        except UnmaskableExample as error:
            raise InvalidField(
                f"a sample prompt cannot be asked: {error}",
                details={"field": "sample_prompts"},
                suggestion="Leave sample_prompts out, or use another model.",
            ) from error
        return list(tokenizer.encode(asked, add_special_tokens=False))

    return encode


def _text_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.backend_tokenizer.encode(text).ids
        # Some tokenizers end every text, and this one goes on.
        return ids[:-1] if ids[-1:] == [tokenizer.eos_token_id] else ids

    return encode


def _decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=True))

    return decode
