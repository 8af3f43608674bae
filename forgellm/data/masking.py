"""Examples to token ids with the mask of what is learned: every answer with the token that ends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgellm.data.chat import ChatFormat, Rendered, Turn, UnmaskableExample, chat_format, render
from forgellm.data.endings import special_ids
from forgellm.data.places import Starts
from forgellm.data.portions import ahead, batches
from forgellm.data.problems import Problem
from forgellm.data.records import Example
from forgellm.data.sequences import Learned, Tokens


@dataclass(frozen=True)
class EncodedExample:
    """`ids` int32 [n] and `learned` bool [n] of one conversation as the chat template renders it.

    `starts` int64 [n] say at which character of `text` each token begins.
    """

    example: Example
    text: str
    ids: Tokens
    learned: Learned
    starts: Starts


def encode_examples(
    tokenizer: Any, examples: Iterable[Example]
) -> Iterator[EncodedExample | tuple[Example, Problem]]:
    """Every example in tokens, in order, or with what the chat template has against it."""
    form = chat_format(tokenizer)
    special = special_ids(tokenizer)
    rendered = ([(one, _rendered(form, one)) for one in batch] for batch in batches(examples, _letters))

    def encode(portion: list[tuple[Example, Rendered | Problem]]) -> Iterator[Any]:
        texts = [one.text for _, one in portion if isinstance(one, Rendered)]
        # The template has written the beginning-of-text token already.
        return iter(tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False))

    for portion, encoded in ahead(rendered, encode):
        for example, one in portion:
            if isinstance(one, Problem):
                yield example, one
            else:
                yield _masked(example, one, next(encoded), special=special, end=tokenizer.eos_token_id)


def _rendered(form: ChatFormat, example: Example) -> Rendered | Problem:
    try:
        return render(form, example.messages)
    except UnmaskableExample as error:
        return Problem(example.file, example.line, str(error), _ROLES_HINT)


def _letters(example: Example) -> int:
    return sum(len(message.content) for message in example.messages)


_ROLES_HINT = "Most templates want user and assistant in turn, with the user first."


def _masked(
    example: Example, rendered: Rendered, encoded: Any, *, special: frozenset[int], end: int | None
) -> EncodedExample:
    listed = encoded.ids
    ids = np.array(listed, dtype=np.int32)
    offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
    ends_turn = np.fromiter(map(special.__contains__, listed), dtype=np.bool_, count=len(ids))
    learned = np.zeros(len(ids), dtype=np.bool_)
    closed = False
    for turn in rendered.turns[example.given :]:
        closed = _learn(learned, turn, offsets, ends_turn=ends_turn)
    if closed or end is None or not learned.any():
        return EncodedExample(example, rendered.text, ids, learned, offsets[:, 0])
    # The template ends the last answer with nothing: without this the model would never learn to stop.
    last = int(np.flatnonzero(learned)[-1]) + 1
    place = int(offsets[last - 1, 1])
    return EncodedExample(
        example,
        rendered.text[:place],
        np.append(ids[:last], np.int32(end)),
        np.append(learned[:last], True),
        np.append(offsets[:last, 0], place),
    )


def _learn(learned: Learned, turn: Turn, offsets: np.ndarray, *, ends_turn: Learned) -> bool:
    """Mark a turn's tokens; says whether an end-of-turn token was among them.

    A token that begins before the turn belongs to it only where it reaches into the answer itself.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    core_start, core_end = turn.core
    closing = np.flatnonzero(ends_turn & (starts >= core_end) & (starts < turn.bound))
    inside = (starts < core_end) & ((starts >= turn.start) | (ends > core_start))
    if len(closing) == 0:
        learned |= inside
        return False
    positions = np.arange(len(learned))
    learned |= (inside | (starts >= core_end)) & (positions <= closing[0])
    return True
