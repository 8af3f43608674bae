"""Documents to token ids, in batches, each token with where it begins and how good a place to cut that is.

Of a document every token is learned. Examples are `masking`'s part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.places import Placed, Placer, Starts
from forgellm.data.portions import ahead, batches
from forgellm.data.segments import CONTEXT, SEGMENT, Joined, Joiner, Segment, segments
from forgellm.data.sequences import Tokens
from forgellm.data.structure import DOCUMENT, Carried, Marks, break_marks


@dataclass(frozen=True)
class EncodedDocument:
    """`ids` int32 [n], begun as the tokenizer begins a text and ended with its end-of-text token.

    `marks` uint8 [n] say how strong a break there is before each (`structure`), `starts` int64 [n] at which
    byte of the text in UTF-8 each begins.
    """

    document: Document
    ids: Tokens
    marks: Marks
    starts: Starts


def encode_documents(
    tokenizer: Any, documents: Iterable[Document], *, placer: Placer | None = None, segment: int = SEGMENT
) -> Iterator[EncodedDocument]:
    """Every document in tokens, in order. One document and one batch are in memory at a time.

    Who calls often hands in a `placer` made of the same tokenizer.
    """
    placer = placer or Placer(tokenizer)
    joiner = Joiner(placer)
    marker = _Marker()
    parts: list[_Part] = []

    def place(batch: Sequence[Segment]) -> list[Placed]:
        return placer.place([one.text for one in batch])

    for batch, placed in ahead(batches(segments(documents, size=segment), _characters), place):
        marker.take(batch)
        for one, tokens in zip(batch, placed, strict=True):
            for joined in joiner.take(one, tokens):
                parts.append(marker.mark(joined))
                if joined.segment.last:
                    yield _whole(joined.segment.document, parts, placer, end=tokenizer.eos_token_id)
                    parts = []


@dataclass(frozen=True)
class _Part:
    """One segment's tokens with their marks; `starts` count from the beginning of the document."""

    ids: Tokens
    marks: Marks
    starts: Starts


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

    def mark(self, joined: Joined) -> _Part:
        """The tokens of the next segment; the first of them may begin in the segment before."""
        if joined.segment.first:
            self._before, self._at = np.zeros(0, np.uint8), 0
        own = self._marks.popleft()
        places = np.concatenate([self._before, own])
        starts = joined.placed.starts
        # A token that has no text of its own, at the very end of a text, begins nowhere in it.
        found = places[np.minimum(starts + len(self._before), max(len(places) - 1, 0))]
        found[1:][np.diff(starts) == 0] = 0
        part = _Part(joined.placed.ids, found, starts + self._at)
        self._before, self._at = places[-4 * CONTEXT :], self._at + len(own)
        return part


def _whole(document: Document, parts: Sequence[_Part], placer: Placer, *, end: int | None) -> EncodedDocument:
    last = parts[-1].ids[-1:] if not placer.tail else placer.tail[-1:]
    tail = [*placer.tail, *([] if end is None or list(last) == [end] else [end])]
    length = len(document.text.encode())
    ids = [np.array(placer.lead, np.int32), *(part.ids for part in parts), np.array(tail, np.int32)]
    marks = [np.zeros(len(placer.lead), np.uint8), *(p.marks for p in parts), np.zeros(len(tail), np.uint8)]
    starts = [
        np.zeros(len(placer.lead), np.int64),
        *(part.starts for part in parts),
        np.full(len(tail), length, np.int64),
    ]
    joined = np.concatenate(marks)
    # Whatever the tokenizer puts first stays with the text it begins.
    joined[1 : len(placer.lead) + 1] = 0
    joined[:1] = DOCUMENT
    return EncodedDocument(document, np.concatenate(ids), joined, np.concatenate(starts))


def _characters(segment: Segment) -> int:
    return len(segment.text)
