"""The pieces of text of PDF pages to Markdown: lines, headings, paragraphs, lists, code.

A PDF says where letters stand, not what they mean, so this is guessed: what is larger than most of the text
is a heading, what is set in a typewriter's font is code, a gap or an indent begins a paragraph, and a full
line goes on in the next. Running titles and page numbers are left out, words broken at a line's end are
mended.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median


@dataclass(frozen=True)
class Piece:
    """Text as one operator of a page writes it, in points from the lower left; it may end lines."""

    text: str
    x: float
    y: float
    size: float
    font: str


@dataclass(frozen=True)
class Line:
    """One line of a page; `fixed` says that all of it is in a typewriter's font."""

    text: str
    x: float
    y: float
    size: float
    fixed: bool
    page: int


@dataclass(frozen=True)
class Look:
    """What is usual in a document: the size and step of its lines, in points, how long a full one is."""

    size: float
    step: float
    full: float
    headings: Sequence[float]


_FIXED = re.compile("Courier|Mono|CMTT|Consol|Typewriter|Menlo|Fixed|NimbusMon|LMTT|SFTT", re.IGNORECASE)
_BULLET = re.compile("^[•‣◦▪●∙·–-] +")
_NUMBERED = re.compile(r"^(\(?\d{1,3}[.)]|[a-z][.)]) ")
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LEADERS = re.compile(r"(?:[ .]*\.){5,}")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_WIDE = "[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
_RUNNING = 3
"""A first or last line on so many pages, numbers aside, is a running title."""

_LARGER, _LONGEST_HEADING = 1.12, 200


def to_markdown(pages: Sequence[Sequence[Piece]]) -> str:
    """Markdown of all pages; empty where they have no text."""
    lines = [line for number, page in enumerate(_without_running(pages)) for line in _in_page(page, number)]
    if not lines:
        return ""
    look = _look(lines)
    return "\n\n".join(_write(block, look) for block in _blocks(lines, look))


def _in_page(lines: Sequence[Line], number: int) -> list[Line]:
    return [replace(line, page=number) for line in lines]


def _without_running(pages: Sequence[Sequence[Piece]]) -> list[list[Line]]:
    read = [_lines(page) for page in pages]
    edges = Counter(key for lines in read for key in {_running_key(line) for line in _edges(lines)})
    running = {key for key, count in edges.items() if count >= _RUNNING}
    return [
        [line for line in lines if not (line in _edges(lines) and _running_key(line) in running)]
        for lines in read
    ]


def _edges(lines: Sequence[Line]) -> list[Line]:
    """The topmost and the lowest line of a page."""
    if not lines:
        return []
    return [max(lines, key=lambda line: line.y), min(lines, key=lambda line: line.y)]


def _running_key(line: Line) -> tuple[str, float]:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text), line.size


def _lines(pieces: Sequence[Piece]) -> list[Line]:
    lines: list[Line] = []
    run: list[Piece] = []
    for piece in pieces:
        parts = piece.text.split("\n")
        for n, part in enumerate(parts):
            if n:
                lines += _line(run)
                run = []
            if part:
                run.append(replace(piece, text=part))
    return lines + _line(run)


def _line(run: Sequence[Piece]) -> list[Line]:
    text = _UNPRINTABLE.sub("", "".join(piece.text for piece in run)).translate(_LIGATURES)
    text = re.sub("[ \t\u00a0]+", " ", _LEADERS.sub(" … ", text)).strip()
    seen = [piece for piece in run if piece.text.strip()]
    if not text or not seen:
        return []
    largest = max(seen, key=lambda piece: len(piece.text.strip()))
    fixed = all(_FIXED.search(piece.font) for piece in seen)
    return [Line(text, seen[0].x, seen[0].y, round(largest.size * 2) / 2, fixed, 0)]


def _look(lines: Sequence[Line]) -> Look:
    weights: Counter[float] = Counter()
    for line in lines:
        weights[line.size] += len(line.text)
    size = weights.most_common(1)[0][0]
    usual = [line for line in lines if line.size == size]
    steps = [a.y - b.y for a, b in pairwise(usual) if a.page == b.page and a.y > b.y]
    lengths = sorted(len(line.text) for line in usual)
    larger = sorted({line.size for line in lines if _is_heading(line, size)}, reverse=True)
    return Look(size, median(steps or [size * 1.2]), lengths[int(0.9 * (len(lengths) - 1))], larger)


def _is_heading(line: Line, size: float) -> bool:
    large = line.size >= size * _LARGER and not line.fixed
    return large and len(line.text) <= _LONGEST_HEADING and any(map(str.isalpha, line.text))


def _blocks(lines: Sequence[Line], look: Look) -> list[list[Line]]:
    blocks = [[lines[0]]]
    for before, line in pairwise(lines):
        if _goes_on(before, line, look):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return blocks


def _goes_on(before: Line, line: Line, look: Look) -> bool:
    """Whether a line belongs to the block of the one before."""
    if before.fixed or line.fixed:
        return (
            before.fixed and line.fixed and (before.page != line.page or _near(before, line, 2.4 * look.step))
        )
    headings = _is_heading(before, look.size), _is_heading(line, look.size)
    if any(headings):
        return all(headings) and before.size == line.size and _near(before, line, 1.5 * before.size)
    if before.page != line.page or line.y > before.y:
        # A new page, or a new column.
        return _is_full(before, look) and not _ends(before) and not _item(line)
    indented = line.x - before.x > look.size * 0.8 and _ends(before) and not _item(before)
    return _near(before, line, 1.3 * look.step) and not indented


def _near(before: Line, line: Line, most: float) -> bool:
    return before.page == line.page and -1.0 <= before.y - line.y <= most


def _is_full(line: Line, look: Look) -> bool:
    return len(line.text) >= 0.6 * look.full


def _ends(line: Line) -> bool:
    return line.text.endswith((".", ":", "!", "?", "”", '"', "。", "！", "？"))


def _item(line: Line) -> bool:
    return bool(_BULLET.match(line.text) or _NUMBERED.match(line.text))


def _write(block: Sequence[Line], look: Look) -> str:
    if all(line.fixed for line in block):
        return _code(block)
    if _is_heading(block[0], look.size):
        level = min(6, 1 + look.headings.index(block[0].size))
        return f"{'#' * level} {' '.join(line.text for line in block)}"
    text = _BULLET.sub("- ", block[0].text)
    for before, line in pairwise(block):
        text = _joined(text, before, line, look=look)
    return text


def _joined(text: str, before: Line, line: Line, *, look: Look) -> str:
    full = len(before.text) >= 0.85 * look.full
    cut = not _ends(before) and (_is_full(before, look) or line.text[0].islower())
    if _item(line) or not (full or cut):
        return f"{text}\n{_BULLET.sub('- ', line.text)}"
    if re.search("[a-zà-ÿ]-$", text) and line.text[0].islower():
        return text[:-1] + line.text
    if re.search(f"{_WIDE}$", text) and re.match(_WIDE, line.text):
        return text + line.text
    return f"{text} {line.text}"


def _code(block: Sequence[Line]) -> str:
    """Indented as it stands on the page: a typewriter's letter is 0.6 of its size wide."""
    left = min(line.x for line in block)
    lines = [" " * max(0, round((line.x - left) / (0.6 * max(line.size, 1.0)))) + line.text for line in block]
    return "\n".join(["```", *lines, "```"])
