"""Documents in rows of tokens, cut where their own structure has its strongest break.

Each row begins with the token before it (and `overlap` more), which is seen and not learned: so every token
but the first is a target once. Without overlap what is learned, row after row, is the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from forgellm.data.sequences import Learned, Tokens
from forgellm.data.structure import BLOCK, DOCUMENT, LEVEL, Marks

SEARCHED = 8
"""A row is cut in its last eighth, at the strongest break there, the last of several: so rows stay full."""

_MERGED = 1 << 17

Block = tuple[Tokens, Marks]


def rows(blocks: Iterable[Block], *, length: int, overlap: int = 0) -> Iterator[tuple[Tokens, Learned]]:
    """(ids int32, learned bool) of at most `length` tokens each, from documents' tokens laid end to end.

    `overlap` is at most half of `length`, and never reaches into another document.
    """
    ids, marks = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    at = 0
    for more, (new_ids, new_marks) in _merged(blocks):
        ids, marks = np.concatenate([ids, new_ids]), np.concatenate([marks, new_marks])
        # Where more is to come, enough is kept to see the end of a block that begins in the row.
        while at < len(ids) - (2 * length if more else 0):
            begin = _begin(marks, at, overlap)
            end = _end(marks, at, begin + length)
            if end - begin > 1:
                learned = np.ones(end - begin, np.bool_)
                learned[: at - begin] = False
                yield ids[begin:end], learned
            at = end
        kept = max(0, at - 1 - overlap)
        ids, marks, at = ids[kept:], marks[kept:], at - kept


def cut_near(marks: Marks, place: int) -> int:
    """The strongest break within a tenth of the length around `place`, the nearest of several; never 0."""
    reach = max(1, len(marks) // 10)
    low, high = max(1, place - reach), min(len(marks), place + reach + 1)
    levels = marks[low:high] & LEVEL
    best = np.flatnonzero(levels == levels.max()) + low
    return int(best[np.argmin(np.abs(best - place))])


def _merged(blocks: Iterable[Block]) -> Iterator[tuple[bool, Block]]:
    """Small blocks laid together; whether more are to come."""
    waiting: list[Block] = []
    total = 0
    for block in blocks:
        if total >= _MERGED:
            yield True, _laid_together(waiting)
            waiting, total = [], 0
        waiting.append(block)
        total += len(block[0])
    if waiting:
        yield False, _laid_together(waiting)


def _laid_together(blocks: list[Block]) -> Block:
    return np.concatenate([ids for ids, _ in blocks]), np.concatenate([marks for _, marks in blocks])


def _begin(marks: Marks, at: int, overlap: int) -> int:
    begin = max(0, at - 1 - overlap)
    if not overlap or at == 0:
        return begin
    if marks[at] == DOCUMENT:
        return at - 1
    documents = np.flatnonzero(marks[begin:at] == DOCUMENT)
    return begin + int(documents[-1]) if len(documents) else begin


def _end(marks: Marks, at: int, limit: int) -> int:
    """Where the row that learns from `at` on ends, at most at `limit`."""
    if limit >= len(marks):
        return len(marks)
    end = _strongest(marks, at, limit, room=limit - at)
    return _before_block(marks, at, end, room=limit - at) if marks[end] & BLOCK else end


def _strongest(marks: Marks, at: int, limit: int, *, room: int) -> int:
    """The strongest break at `limit` or up to an eighth of a row before it, the last of several."""
    low = max(at + 1, limit - room // SEARCHED)
    return limit - int(np.argmax((marks[low : limit + 1] & LEVEL)[::-1]))


def _before_block(marks: Marks, at: int, end: int, *, room: int) -> int:
    """Where a block begins that `end` would cut, if it fits into a row of its own; else `end`.

    What leads to it, such as a heading, goes with it where that fits too.
    """
    outside = np.flatnonzero((marks[at:end] & BLOCK) == 0)
    start = at + int(outside[-1]) if len(outside) else at
    closes = np.flatnonzero((marks[end : start + room + 1] & BLOCK) == 0)
    ends = end + int(closes[0]) if len(closes) else len(marks)
    if start <= at or ends > start + room:
        return end
    led = _strongest(marks, at, start, room=room)
    return led if ends <= led + room else start
