"""Portions of a stream that are worth one call of the tokenizer and fit into memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

BATCH_CHARACTERS = 1_000_000
"""Text in one call of the tokenizer: enough to keep it busy, little enough to hold its answers."""

MOST_IN_A_BATCH = 4096

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Neighbours whose sizes sum to at most `BATCH_CHARACTERS`, or one that is larger alone."""
    batch: list[Item] = []
    total = 0
    for item in items:
        if batch and (total + size(item) > BATCH_CHARACTERS or len(batch) == MOST_IN_A_BATCH):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


def ahead(portions: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
    """Each portion with what `work` makes of it: the next is worked on while its forerunner is used.

    A tokenizer leaves Python free meanwhile, so that reading and writing cost nothing beside it.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for portion in portions:
            waiting.append((portion, pool.submit(work, portion)))
            if len(waiting) > 1:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
