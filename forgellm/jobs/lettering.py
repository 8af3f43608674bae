"""Text on the dashboard: rows in columns, cut with an ellipsis where they would run out of space.

Widths are measured with the figure's own renderer, so nothing overlaps whatever the names are.
Characters that the font lacks become a question mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

INK, MUTED = "#1f2933", "#6b7682"
ROW = 0.048
"""Height of a line of the summary as a share of its panel."""


def write_pairs(axes: Axes, rows: Sequence[tuple[str, str]], *, top: float) -> float:
    """Name and value on each line; answers the height of the line that would follow."""
    for name, value in rows:
        axes.text(0.0, top, name, transform=axes.transAxes, color=MUTED)
        shorten(axes.text(0.27, top, value, transform=axes.transAxes), right_edge(axes))
        top -= ROW
    return top


def write_columns(
    axes: Axes, rows: Sequence[Sequence[str]], *, columns: Sequence[float], top: float
) -> float:
    """Each row's cells at the given shares of the panel's width; answers the height of the next line."""
    for row in rows:
        for x, cell in zip(columns, row, strict=True):
            axes.text(x, top, cell, transform=axes.transAxes)
        top -= ROW
    return top


def right_edge(axes: Axes) -> float:
    """In pixels."""
    return float(axes.get_window_extent().x1)


def shorten(text: Text, edge: float) -> None:
    """Cut the middle out until the text ends before `edge` (pixels): both ends of a name tell it apart."""
    words = printable(text.get_text())
    text.set_text(words)
    if _extent(text) <= edge:
        return
    fits, too_long = 2, len(words)
    while too_long - fits > 1:
        kept = (fits + too_long) // 2
        text.set_text(_ends(words, kept))
        fits, too_long = (kept, too_long) if _extent(text) <= edge else (fits, kept)
    text.set_text(_ends(words, fits))


def _ends(words: str, kept: int) -> str:
    return f"{words[: kept - kept // 2].rstrip()}…{words[len(words) - kept // 2 :].lstrip()}"


def printable(words: str) -> str:
    """On one line, and only in characters that the sheet's font can draw."""
    known = _characters()
    return "".join(c if ord(c) in known else "?" for c in " ".join(words.split()))


def _extent(text: Text) -> float:
    figure = text.get_figure()
    assert figure is not None
    renderer = cast(FigureCanvasAgg, figure.canvas).get_renderer()
    return float(text.get_window_extent(renderer).x1)


@lru_cache
def _characters() -> frozenset[int]:
    """What DejaVu Sans, which comes with matplotlib, can draw."""
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
