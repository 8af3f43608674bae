"""Documents to token ids, in batches, each token with where it begins and how good a place to cut that is.

Of a document every token is learned. Examples are `masking`'s part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.places import Placed, Placer, Starts
from forgellm.data.portions import ahead, batches
from forgellm.data.segments import CONTEXT, SEGMENT, Joined, Joiner, Segment, segments
from forgellm.data.sequences import Tokens
from forgellm.data.structure import DOCUMENT, Carried, Marks, break_marks


@dataclass(frozen=True)
class Encoded:
    """A document in tokens, or the next part of one; the last ends with the end-of-text token.

    `ids` int32 [n] begin as the tokenizer begins a text. `marks` uint8 [n] say how strong a break there is
    before each (`structure`), `starts` int64 [n] at which byte of the text in UTF-8 each begins.
    """

    document: Document
    ids: Tokens
    marks: Marks
    starts: Starts
    last: bool = True


def encode_documents(
    tokenizer: Any, documents: Iterable[Document], *, segment: int = SEGMENT
) -> Iterator[Encoded]:
    """Every document in tokens, in order, each whole."""
    parts: list[Encoded] = []
    for part in encode_parts(tokenizer, documents, placer=Placer(tokenizer), segment=segment):
        parts.append(part)
        if part.last:
            yield Encoded(
                part.document,
                np.concatenate([one.ids for one in parts]),
                np.concatenate([one.marks for one in parts]),
                np.concatenate([one.starts for one in parts]),
            )
            parts = []


def encode_parts(
    tokenizer: Any, documents: Iterable[Document], *, placer: Placer, segment: int = SEGMENT
) -> Iterator[Encoded]:
    """Every document in tokens, in order, long ones in parts: in memory are its text and two batches.

    `placer` is made of the same tokenizer, once.
    """

    def place(batch: Sequence[Segment]) -> list[Placed]:
        return placer.place([one.text for one in batch])

    joiner, marker = Joiner(placer), _Marker()
    for batch, placed in ahead(batches(segments(documents, size=segment), _characters), place):
        marker.take(batch)
        for one, tokens in zip(batch, placed, strict=True):
            for joined in joiner.take(one, tokens):
                part = marker.mark(joined)
                part = _begun(part, placer.lead) if joined.segment.first else part
                yield _ended(part, placer.tail, tokenizer.eos_token_id) if part.last else part


class _Marker:
    """The marks of the places of each segment, until its tokens are known: those come one segment later."""

    def __init__(self) -> None:
        self._carried = Carried()
        self._marks: deque[Marks] = deque()
        self._before = np.zeros(0, np.uint8)
        self._at = 0

    def take(self, batch: Sequence[Segment]) -> None:
        """The next segments, in order."""
        ends = np.cumsum([0, *(len(one.data) for one in batch)])
        first = [n for n, one in enumerate(batch) if one.first and one.data]
        marks, self._carried = break_marks(
            np.frombuffer(b"".join(one.data for one in batch), np.uint8),
            [int(ends[n]) for n in first],
            [batch[n].document.kind for n in first],
            carried=self._carried,
        )
        self._marks.extend(np.split(marks, ends[1:-1]))

    def mark(self, joined: Joined) -> Encoded:
        """The tokens of the next segment; the first of them may begin in the segment before."""
        if joined.segment.first:
            self._before, self._at = np.zeros(0, np.uint8), 0
        own = self._marks.popleft()
        places = np.concatenate([self._before, own])
        starts = joined.placed.starts
        # A token that has no text of its own, at the very end of a text, begins nowhere in it.
        found = places[np.minimum(starts + len(self._before), max(len(places) - 1, 0))]
        found[1:][np.diff(starts) == 0] = 0
        segment = joined.segment
        part = Encoded(segment.document, joined.placed.ids, found, starts + self._at, segment.last)
        self._before, self._at = places[-4 * CONTEXT :], self._at + len(own)
        return part


def _begun(part: Encoded, lead: Sequence[int]) -> Encoded:
    """With the tokens before it; they stay with the text that they begin."""
    ids = np.concatenate([np.array(lead, np.int32), part.ids])
    marks = np.concatenate([np.zeros(len(lead), np.uint8), part.marks])
    marks[1 : len(lead) + 1] = 0
    marks[:1] = DOCUMENT
    return replace(
        part, ids=ids, marks=marks, starts=np.concatenate([np.zeros(len(lead), np.int64), part.starts])
    )


def _ended(part: Encoded, tail: Sequence[int], end: int | None) -> Encoded:
    last = list(tail[-1:] or part.ids[-1:])
    added = [*tail] if end is None or last == [end] else [*tail, end]
    length = len(part.document.text.encode())
    return replace(
        part,
        ids=np.concatenate([part.ids, np.array(added, np.int32)]),
        marks=np.concatenate([part.marks, np.zeros(len(added), np.uint8)]),
        starts=np.concatenate([part.starts, np.full(len(added), length, np.int64)]),
    )


def _characters(segment: Segment) -> int:
    return len(segment.text)
