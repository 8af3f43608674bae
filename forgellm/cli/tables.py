"""Plain tables, figures and durations for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "-"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()) -> list[str]:
    """Aligned lines under a header; columns named in `left` are text, the others are figures."""
    widths = [max(len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    return [_line(cells, widths=widths, headers=headers, left=left) for cells in (headers, *rows)]


def _line(cells: Sequence[str], *, widths: Sequence[int], headers: Sequence[str], left: Sequence[str]) -> str:
    aligned = [
        cell.ljust(width) if header in left else cell.rjust(width)
        for cell, width, header in zip(cells, widths, headers, strict=True)
    ]
    return "  ".join(aligned).rstrip()


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
