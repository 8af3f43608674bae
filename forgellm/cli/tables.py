"""Plain tables, figures and durations for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "-"
NAME_ENDS = 12
"""Characters of a name that still tell it from others."""
_GAP = "  "


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[str] = (),
    width: int | None = None,
    narrow: Sequence[tuple[str, int]] = (),
) -> list[str]:
    """Aligned lines under a header; columns named in `left` are text, the others are figures.

    For as long as they are wider than `width`, the columns of `narrow` give way one after another: cells lose
    their beginnings, down to so many characters, and where none are to stay the column is left out.
    """
    columns: list[Sequence[str]] = list(zip(headers, *rows, strict=True))
    for name, least in narrow:
        if (excess := _excess(columns, width)) > 0:
            at = next(n for n, column in enumerate(columns) if column[0] == name)
            most = max(least, _widest(columns[at]) - excess)
            columns[at : at + 1] = [[_end_of(cell, most) for cell in columns[at]]] if least else []
    return _aligned(columns, left)


def _excess(columns: Sequence[Sequence[str]], width: int | None) -> int:
    """By how much the lines are wider than `width`; 0 where any width will do."""
    return 0 if width is None else sum(map(_widest, columns)) + len(_GAP) * (len(columns) - 1) - width


def _widest(column: Sequence[str]) -> int:
    return max(map(len, column))


def _end_of(cell: str, most: int) -> str:
    """The beginnings of names and paths are what many of them share."""
    return cell if len(cell) <= most else "…" + cell[len(cell) - most + 1 :]


def _aligned(columns: Sequence[Sequence[str]], left: Sequence[str]) -> list[str]:
    aligned = [
        [cell.ljust(_widest(column)) if column[0] in left else cell.rjust(_widest(column)) for cell in column]
        for column in columns
    ]
    return [_GAP.join(cells).rstrip() for cells in zip(*aligned, strict=True)]


def figure(value: object, form: str = ".4f") -> str:
    """A number in the given form, or a dash for what was not measured."""
    return format(value, form) if isinstance(value, (int, float)) else MISSING


def size(count: float) -> str:
    """Bytes in the decimal units that disks are sold in."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float | None) -> str:
    """`45 s`, `3 min 05 s`, `2 h 10 min`; a dash when unknown."""
    if seconds is None:
        return MISSING
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{minutes} min {rest:02d} s" if hours == 0 else f"{hours} h {minutes:02d} min"
