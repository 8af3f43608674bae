"""Documents and examples to token ids, in batches, with the mask of what is learned.

Of a document every token is learned, of an example every assistant's turn with the token that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from forgellm.data.chat import ChatFormat, Rendered, Turn, UnmaskableExample, chat_format, render
from forgellm.data.documents import Document
from forgellm.data.problems import Problem
from forgellm.data.records import Example
from forgellm.data.sequences import Learned, Tokens

BATCH_CHARACTERS = 1_000_000
"""Text in one call of the tokenizer: enough to keep it busy, little enough to hold its answers."""

Masked = tuple[Tokens, Learned]


def encode_documents(tokenizer: Any, documents: Sequence[Document]) -> Iterator[Tokens]:
    """int32 ids of each document, begun as the tokenizer begins a text, ended with its end-of-text token."""
    end = tokenizer.eos_token_id
    texts = [document.text for document in documents]
    for batch in _batches(range(len(texts)), [len(text) for text in texts]):
        encoded = tokenizer.backend_tokenizer.encode_batch_fast([texts[i] for i in batch])
        for one in encoded:
            ids = one.ids
            yield np.array(ids if end is None or ids[-1:] == [end] else [*ids, end], dtype=np.int32)


def encode_examples(tokenizer: Any, examples: Sequence[Example]) -> tuple[list[Masked], list[Problem]]:
    """(ids int32, learned bool) of each example, and those that the chat template cannot take."""
    form = chat_format(tokenizer)
    rendered, problems = _render_all(form, examples)
    special = _special_ids(tokenizer)
    masked: list[Masked] = []
    for batch in _batches(range(len(rendered)), [len(r.text) for r in rendered]):
        # The template has written the beginning-of-text token already.
        encoded = tokenizer.backend_tokenizer.encode_batch(
            [rendered[i].text for i in batch], add_special_tokens=False
        )
        masked += [
            _mask(rendered[i], one, special=special, end=tokenizer.eos_token_id)
            for i, one in zip(batch, encoded, strict=True)
        ]
    return masked, problems


def _render_all(form: ChatFormat, examples: Sequence[Example]) -> tuple[list[Rendered], list[Problem]]:
    rendered: list[Rendered] = []
    problems: list[Problem] = []
    for example in examples:
        try:
            rendered.append(render(form, example.messages))
        except UnmaskableExample as error:
            problems.append(Problem(example.file, example.line, str(error), _ROLES_HINT))
    return rendered, problems


_ROLES_HINT = "Most templates want user and assistant in turn, with the user first."


def _special_ids(tokenizer: Any) -> frozenset[int]:
    added = (index for index, token in tokenizer.added_tokens_decoder.items() if token.special)
    return frozenset([*added, *tokenizer.all_special_ids])


def _mask(rendered: Rendered, encoded: Any, *, special: frozenset[int], end: int | None) -> Masked:
    listed = encoded.ids
    ids = np.array(listed, dtype=np.int32)
    offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
    ends_turn = np.fromiter(map(special.__contains__, listed), dtype=np.bool_, count=len(ids))
    learned = np.zeros(len(ids), dtype=np.bool_)
    closed = False
    for turn in rendered.turns:
        closed = _learn(learned, turn, offsets, ends_turn=ends_turn)
    if closed or end is None or not learned.any():
        return ids, learned
    # The template ends the last answer with nothing: without this the model would never learn to stop.
    last = int(np.flatnonzero(learned)[-1]) + 1
    return np.append(ids[:last], np.int32(end)), np.append(learned[:last], True)


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


def _batches(indices: Iterable[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Neighbours whose sizes sum to at most `BATCH_CHARACTERS`, or one that is larger alone."""
    batch: list[int] = []
    total = 0
    for index in indices:
        if batch and total + sizes[index] > BATCH_CHARACTERS:
            yield batch
            batch, total = [], 0
        batch.append(index)
        total += sizes[index]
    if batch:
        yield batch
