"""From documents and examples to rows of tokens: chunks, cut rows, the mixture, the capped validation set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.encoding import Masked, encode_documents, encode_examples
from forgellm.data.problems import Problem
from forgellm.data.records import Example
from forgellm.data.sequences import Sequences, Tokens, choose, join


@dataclass(frozen=True)
class Part:
    """Rows; examples that were cut at the length limit; examples left out with nothing to learn in them."""

    sequences: Sequences
    cut: int = 0
    dropped: int = 0
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Mixture:
    """Domain rows with general ones behind them. `domain_share` is that of the tokens, as it turned out."""

    sequences: Sequences
    drawn: int
    domain_share: float


def shape(
    items: Sequence[Document | Example], *, tokenizer: Any, max_seq_length: int, joined: bool, seed: int
) -> Part:
    """Rows of at most `max_seq_length` tokens.

    Documents are joined in a drawn order, or kept apart where `joined` is False; examples keep their order,
    one a row.
    """
    documents = [item for item in items if isinstance(item, Document)]
    if documents:
        return Part(_documents(documents, tokenizer, max_seq_length, order_seed=seed if joined else None))
    examples = [item for item in items if isinstance(item, Example)]
    masked, problems = encode_examples(tokenizer, examples) if examples else ([], [])
    kept = [(ids[:max_seq_length], learned[:max_seq_length]) for ids, learned in masked]
    rows = [(ids, learned) for ids, learned in kept if learned[1:].any()]
    cut = sum(len(ids) > max_seq_length for ids, _ in masked)
    return Part(join(rows), cut, len(masked) - len(rows), problems)


def draw_mixture(domain: Sequences, general: Sequences | None, *, ratio: float, seed: int) -> Mixture:
    """Add whole general rows, drawn anew for each pass, until the domain has `ratio` of the tokens."""
    tokens = len(domain.tokens)
    if general is None or ratio >= 1.0 or not len(general):
        return Mixture(domain, 0, 1.0)
    wanted = tokens * (1.0 - ratio) / ratio
    indices = _until(general.lengths, wanted, seed=seed)
    added = choose(general, indices)
    both = _concatenate(domain, added)
    return Mixture(both, len(indices), tokens / len(both.tokens))


def draw_validation(sequences: Sequences, *, most_tokens: int, seed: int) -> Sequences:
    """Whole sequences of at most `most_tokens` in all, but at least one, drawn once and kept in order."""
    if len(sequences.tokens) <= most_tokens:
        return sequences
    order = np.random.default_rng((seed, _VALIDATION)).permutation(len(sequences))
    fitting = int(np.searchsorted(np.cumsum(sequences.lengths[order]), most_tokens, side="right"))
    return choose(sequences, np.sort(order[: max(1, fitting)]))


# What each draw is for, so that no two of them use the same random numbers.
_ORDER, _MIXTURE, _VALIDATION = 1, 2, 3


def _documents(
    documents: Sequence[Document], tokenizer: Any, max_seq_length: int, *, order_seed: int | None
) -> Sequences:
    """Chunks of every document on its own, or of all of them joined in an order drawn by `order_seed`."""
    if order_seed is None:
        encoded = encode_documents(tokenizer, documents)
        return join(chunk for ids in encoded for chunk in _chunks(ids, max_seq_length))
    order = np.random.default_rng((order_seed, _ORDER)).permutation(len(documents))
    stream = np.concatenate(list(encode_documents(tokenizer, [documents[i] for i in order])))
    return join(_chunks(stream, max_seq_length))


def _chunks(ids: Tokens, length: int) -> Iterator[Masked]:
    """Chunks that share one token with the next, so that each token but the first is a target once."""
    for start in range(0, len(ids) - 1, length - 1):
        chunk = ids[start : start + length]
        yield chunk, np.ones(len(chunk), dtype=np.bool_)


def _until(lengths: np.ndarray, wanted: float, *, seed: int) -> list[int]:
    """Indices, pass after pass in a new order, whose lengths sum as near to `wanted` as whole rows allow."""
    rng = np.random.default_rng((seed, _MIXTURE))
    chosen: list[int] = []
    total = 0.0
    while total < wanted:
        for index in rng.permutation(len(lengths)):
            if total + lengths[index] / 2 >= wanted:
                return chosen or [int(index)]
            chosen.append(int(index))
            total += float(lengths[index])
    return chosen


def _concatenate(first: Sequences, second: Sequences) -> Sequences:
    return Sequences(
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.learned, second.learned]),
        np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
    )
