"""Long texts in segments that can be tokenised side by side, and their tokens put together exactly.

Each segment is tokenised with some text of its neighbours around it; two neighbours are joined at a place
where both have the same tokens on either side, so the result is that of the whole text in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.places import Placed, Placer

SEGMENT = 1 << 16
"""Characters: enough segments in a batch for every core, few enough joints."""

CONTEXT = 512
"""Characters of the neighbours. The longest tokens have about a quarter as many."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a document. `text` has `before` and `after` around the stretch itself.

    `data` is the stretch in UTF-8.
    """

    document: Document
    text: str
    data: bytes
    before: bytes
    after: bytes
    first: bool
    last: bool

    @property
    def data_around(self) -> bytes:
        """`text` in UTF-8."""
        return self.before + self.data + self.after


def segments(documents: Iterable[Document], *, size: int = SEGMENT) -> Iterator[Segment]:
    """Every document in order, each in segments of about `size` characters."""
    for document in documents:
        text, start = document.text, 0
        while start < len(text) or start == 0:
            end = _cut(text, start, size)
            low, high = max(0, start - CONTEXT), end + CONTEXT
            yield Segment(
                document,
                text[low:high],
                text[start:end].encode(),
                text[low:start].encode(),
                text[end:high].encode(),
                start == 0,
                end == len(text),
            )
            start = max(end, 1)


def _cut(text: str, start: int, size: int) -> int:
    """Where the segment that begins at `start` ends: after a line, a word, or anywhere."""
    end = start + size
    if end + CONTEXT >= len(text):
        return len(text)
    for separator in ("\n", " "):
        found = text.rfind(separator, end - size // 8, end)
        if found >= 0:
            return found + 1
    return end


@dataclass(frozen=True)
class Joined:
    """The tokens of one segment that are its own, and where they begin in bytes of the segment.

    The first may begin in the segment before: at a negative byte, at least -4 x CONTEXT.
    """

    segment: Segment
    placed: Placed


class Joiner:
    """Puts together what was tokenised; keeps the last segment until its successor is known."""

    def __init__(self, placer: Placer) -> None:
        self._placer = placer
        self._waiting: Joined | None = None

    def take(self, segment: Segment, placed: Placed) -> Iterator[Joined]:
        """The segments that are complete with this one; tokens as `Placer` gave them for its `text`."""
        mine = Placed(placed.ids, placed.starts - len(segment.before))
        if self._waiting is not None:
            yield from self._join(self._waiting, segment, mine)
        else:
            self._waiting = Joined(segment, mine)
        if segment.last and self._waiting is not None:
            yield self._waiting
            self._waiting = None

    def _join(self, waiting: Joined, segment: Segment, mine: Placed) -> Iterator[Joined]:
        length = len(waiting.segment.data)
        earlier = waiting.placed
        at = _common(Placed(earlier.ids, earlier.starts - length), mine, reach=len(segment.before))
        if at is None:
            at, mine = self._anew(waiting, segment)
        yield Joined(waiting.segment, _part(earlier, 0, at[0]))
        self._waiting = Joined(segment, _part(mine, at[1], len(mine.ids)))

    def _anew(self, waiting: Joined, segment: Segment) -> tuple[tuple[int, int], Placed]:
        """A pattern repeated without end has no place that both agree on: go on from the earlier tokens."""
        length = len(waiting.segment.data)
        ids, starts = waiting.placed.ids, waiting.placed.starts - length
        whole = segment.data_around
        cut = int(np.searchsorted(starts, 0, side="right")) - 1
        while cut > 0 and (whole[len(segment.before) + int(starts[cut])] & 0xC0) == 0x80:
            cut -= 1
        place = max(int(starts[cut]), -len(segment.before)) if len(ids) else 0
        rest = whole[len(segment.before) + place :]
        [placed] = self._placer.place([rest.decode()])
        return (cut, 0), Placed(placed.ids, placed.starts + place)


def _common(earlier: Placed, later: Placed, *, reach: int) -> tuple[int, int] | None:
    """Indices of the last token before byte 0 that both have, with the same neighbours, or None.

    Not in the first half of the later text's context, where its tokens may still be others.
    """
    left = np.flatnonzero((earlier.starts <= 0) & (earlier.starts > -reach // 2))
    right = np.flatnonzero((later.starts <= 0) & (later.starts > -reach // 2))
    _, a, b = np.intersect1d(earlier.starts[left], later.starts[right], return_indices=True)
    for i, j in zip(left[a][::-1], right[b][::-1], strict=True):
        if i > 0 and j > 0 and np.array_equal(earlier.ids[i - 1 : i + 1], later.ids[j - 1 : j + 1]):
            return int(i), int(j)
    return None


def _part(placed: Placed, start: int, end: int) -> Placed:
    return Placed(placed.ids[start:end], placed.starts[start:end])
