"""How strong a break each place of a text is: headings, paragraphs, lines, sentences, words, characters.

Works on the UTF-8 bytes of many documents at once. What is cut where is decided in `chunks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgellm.data.documents import Kind

Bytes = npt.NDArray[np.uint8]
Marks = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

CHARACTER, WORD, SENTENCE, LINE, INDENTED, PARAGRAPH, SECTION, DOCUMENT = 1, 2, 3, 4, 5, 6, 7, 10
"""Breaks from weak to strong; 0 is inside a character, SECTION to SECTION + 2 a heading, the highest last."""

BLOCK = 0x80
"""Set on a place inside a fenced block, which is kept whole where it fits."""

LEVEL = 0x7F

_NEWLINE, _SPACE, _TAB, _HASH = 10, 32, 9, 35
_UNDERLINES = b"=-~^"
_INSIDE_BLOCK = np.array([0, 1, 2, 2, 3, 4, 4, 4, 4, 4, 4], np.uint8) | np.uint8(BLOCK)


@dataclass(frozen=True)
class Carried:
    """What must be known of a document's text so far to go on in the middle of it.

    `fence` is the marker of an open block.
    """

    kind: Kind = "text"
    line_starts: bool = True
    blank_before: bool = True
    fence: bytes = b""


@dataclass(frozen=True)
class _Lines:
    """Where each line starts and ends, which document it is of, and whether it holds white space alone."""

    starts: Places
    ends: Places
    documents: Places
    blank: npt.NDArray[np.bool_]


def break_marks(
    data: Bytes, begins: Sequence[int], kinds: Sequence[Kind], *, carried: Carried
) -> tuple[Marks, Carried]:
    """A mark for each byte, uint8 [len(data)], and what to hand in with the bytes that follow.

    Documents begin at `begins` and are of `kinds`; what lies before the first goes on where `carried` ended.
    """
    if not len(data):
        return np.zeros(0, np.uint8), carried
    first = np.array(begins, np.int64)
    marks = _inside_lines(data)
    lines = _lines(data, first, carried)
    _mark_lines(marks, data, lines, carried)
    fence = _mark_markup(marks, data, lines, kinds=[carried.kind, *kinds], fence=carried.fence)
    marks[first] = DOCUMENT
    ended = bool(data[-1] == _NEWLINE)
    blank = bool(lines.blank[-1]) if len(lines.blank) else carried.blank_before and not carried.line_starts
    return marks, Carried(kinds[-1] if kinds else carried.kind, ended, blank, fence)


def _inside_lines(data: Bytes) -> Marks:
    """Characters, words and sentences."""
    marks = np.where((data & 0xC0) != 0x80, np.uint8(CHARACTER), np.uint8(0))
    # Kana and ideographs stand for words of their own.
    marks[(data >= 0xE3) & (data <= 0xE9)] = WORD
    white = (data == _SPACE) | (data == _NEWLINE) | (data == _TAB)
    marks[white] = WORD
    after = marks[1:]
    after[white[:-1] & (after < WORD) & (after > 0)] = WORD
    ends = (data == ord(".")) | (data == ord("!")) | (data == ord("?"))
    after[ends[:-1] & white[1:]] = SENTENCE
    for lead, second, thirds in ((0xE3, 0x80, (0x82,)), (0xEF, 0xBC, (0x81, 0x9F))):
        places = np.flatnonzero(data[:-3] == lead)
        full = (data[places + 1] == second) & np.isin(data[places + 2], thirds)
        marks[places[full] + 3] = SENTENCE
    return marks


def _lines(data: Bytes, begins: Places, carried: Carried) -> _Lines:
    newlines = np.flatnonzero(data == _NEWLINE)
    goes_on = [0] if carried.line_starts and 0 not in begins[:1] else []
    starts = np.unique(np.concatenate([goes_on, begins, newlines[newlines < len(data) - 1] + 1])).astype(
        np.int64
    )
    ends = np.append(starts[1:], len(data))
    black = np.concatenate([[0], np.cumsum((data != _SPACE) & (data != _NEWLINE) & (data != _TAB))])
    return _Lines(starts, ends, np.searchsorted(begins, starts, side="right"), black[ends] == black[starts])


def _mark_lines(marks: Marks, data: Bytes, lines: _Lines, carried: Carried) -> None:
    before = np.concatenate([[carried.blank_before], lines.blank[:-1]])[: len(lines.blank)]
    first = data[lines.starts]
    indented = (first == _SPACE) | (first == _TAB)
    level = np.where(before, np.where(indented, INDENTED, PARAGRAPH), LINE)
    level[lines.blank] = LINE
    marks[lines.starts] = level
    # Where a token spans a line's end the break is before it, which is not quite as good.
    ends = lines.starts[lines.starts > 0] - 1
    at_end = ends[data[ends] == _NEWLINE]
    marks[at_end] = np.maximum(marks[at_end], SENTENCE)


def _mark_markup(marks: Marks, data: Bytes, lines: _Lines, *, kinds: Sequence[Kind], fence: bytes) -> bytes:
    """Headings and fenced blocks; gives the marker of a block that is open at the end."""
    opened = document = 0
    for n in _candidates(data, lines):
        if lines.documents[n] != document:
            # A block that is never closed ends with its document.
            _enclose(marks, opened if fence else None, _document_end(lines, document, len(data)))
            document, fence = int(lines.documents[n]), b""
        text = data[lines.starts[n] : lines.ends[n]].tobytes().strip()
        marker = _marker(text)
        if kinds[document] == "code":
            continue
        if not fence and not marker:
            _mark_heading(marks, data, lines, n=n, text=text)
        elif not fence:
            fence, opened = marker, int(lines.starts[n]) + 1
        elif marker.startswith(fence) and marker == text:
            _enclose(marks, opened, int(lines.ends[n]))
            fence = b""
    _enclose(marks, opened if fence else None, _document_end(lines, document, len(data)))
    return fence if document == len(kinds) - 1 else b""


def _document_end(lines: _Lines, document: int, length: int) -> int:
    place = int(np.searchsorted(lines.documents, document + 1))
    return int(lines.starts[place]) if place < len(lines.starts) else length


def _candidates(data: Bytes, lines: _Lines) -> Iterator[int]:
    """Numbers of the lines that may be headings, underlines or fences, in order: few, so a loop may look."""
    starts = lines.starts
    first = data[starts]
    found = [np.flatnonzero(np.isin(first, np.frombuffer(b"#`~" + _UNDERLINES, np.uint8)))]
    for tick in (ord("`"), ord("~")):
        places = np.flatnonzero((data[2:] == tick) & (data[1:-1] == tick) & (data[:-2] == tick))
        found.append(np.searchsorted(starts, places, side="right") - 1)
    numbers = np.unique(np.concatenate(found))
    return iter(int(n) for n in numbers if n >= 0)


def _marker(text: bytes) -> bytes:
    """The backticks or tildes, three or more, that a line begins with."""
    for tick in (b"`", b"~"):
        if text.startswith(tick * 3):
            return text[: len(text) - len(text.lstrip(tick))]
    return b""


def _enclose(marks: Marks, start: int | None, end: int) -> None:
    if start is not None:
        marks[start:end] = _INSIDE_BLOCK[marks[start:end] & LEVEL]


def _mark_heading(marks: Marks, data: Bytes, lines: _Lines, *, n: int, text: bytes) -> None:
    start = int(lines.starts[n])
    hashes = len(text) - len(text.lstrip(b"#"))
    if data[start] == _HASH and 1 <= hashes <= 6 and text[hashes : hashes + 1] in (b" ", b""):
        marks[start] = SECTION + max(0, 3 - hashes)
    elif len(text) >= 3 and text[0] in _UNDERLINES and not text.strip(text[:1]) and n > 0:
        title = int(lines.starts[n - 1])
        same = lines.documents[n - 1] == lines.documents[n] and not lines.blank[n - 1]
        if same and (marks[title] & LEVEL) == PARAGRAPH:
            marks[title] = SECTION + (text[0] == ord("="))
