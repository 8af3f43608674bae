"""How long the items of a dataset are in a model's tokens, and how often a spec passes over them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from forgellm.data.documents import Document
from forgellm.data.encoding import encode_parts
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.places import Placer
from forgellm.data.problems import Problem
from forgellm.data.records import Example
from forgellm.data.report import Measured
from forgellm.domain.extent import total_iterations
from forgellm.domain.spec import TrainingSpec


@dataclass(frozen=True)
class Lengths:
    """How long items are, in tokens. `bins` are (upper bound, count), the bounds powers of two."""

    count: int
    tokens: int
    learned: int
    shortest: int
    median: int
    longest: int
    cut: int
    bins: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Passes:
    """How often a spec passes over its data: `epochs` = iterations x accumulation / batches of one epoch."""

    training_type: str
    sequences: int
    batches_per_epoch: int
    iterations: int
    epochs: float


class Measurer:
    """Counts tokens for a report (`report.Measure`); keeps what it found out about the tokenizer."""

    def __init__(self, tokenizer: Any, *, max_seq_length: int) -> None:
        self._tokenizer = tokenizer
        self._length = max_seq_length
        self._placer = Placer(tokenizer)

    def __call__(self, items: Sequence[Example | Document], /) -> Sequence[Measured]:
        found: list[Measured] = []
        for kind, group in groupby(items, key=lambda item: isinstance(item, Document)):
            if kind:
                documents = (item for item in group if isinstance(item, Document))
                found += self._documents(documents)
            else:
                examples = (item for item in group if isinstance(item, Example))
                found += map(self._measured, encode_examples(self._tokenizer, examples))
        return found

    def _documents(self, documents: Iterable[Document]) -> Iterator[Measured]:
        tokens = 0
        for part in encode_parts(self._tokenizer, documents, placer=self._placer):
            tokens += len(part.ids)
            if part.last:
                yield Measured(tokens, learned=tokens - 1)
                tokens = 0

    def _measured(self, one: EncodedExample | tuple[Example, Problem]) -> Measured:
        if not isinstance(one, EncodedExample):
            return Measured(0, problem=one[1].reason)
        learned = int(one.learned[1 : self._length].sum())
        return Measured(len(one.ids), cut=len(one.ids) > self._length, learned=learned)


def lengths(counts: Iterable[tuple[int, int]], *, max_seq_length: int) -> Lengths:
    """From (tokens, learned tokens) of every item, of which there must be one. Streams."""
    seen: Counter[int] = Counter()
    learned = 0
    for tokens, taught in counts:
        seen[tokens] += 1
        learned += taught
    ordered = sorted(seen)
    before = list(accumulate(seen[tokens] for tokens in ordered))
    bins: Counter[int] = Counter()
    for tokens in ordered:
        bins[1 << max(4, (tokens - 1).bit_length())] += seen[tokens]
    bounds = range(min(bins).bit_length() - 1, max(bins).bit_length())
    return Lengths(
        count=before[-1],
        tokens=sum(tokens * number for tokens, number in seen.items()),
        learned=learned,
        shortest=ordered[0],
        median=ordered[bisect_left(before, (before[-1] + 1) // 2)],
        longest=ordered[-1],
        cut=sum(number for tokens, number in seen.items() if tokens > max_seq_length),
        bins=[(1 << n, bins[1 << n]) for n in bounds],
    )


def passes(spec: TrainingSpec, sequences: int) -> Passes:
    """What a spec comes to with that many rows to train on. Raises InvalidField as a run would."""
    batches = -(-sequences // spec.batch_size)
    iterations = total_iterations(spec, batches)
    epochs = iterations * spec.grad_accumulation_steps / batches
    return Passes(spec.training_type, sequences, batches, iterations, epochs)
