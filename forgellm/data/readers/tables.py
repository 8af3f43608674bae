"""Rows of cells as a Markdown table. The first row is its head."""

from __future__ import annotations

from collections.abc import Sequence


def write_table(rows: Sequence[Sequence[str]]) -> str:
    """Every row as wide as the widest; rows without anything in them are dropped."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    width = max((len(row) for row in filled), default=0)
    lines = [_line(row, width) for row in filled]
    return "\n".join([*lines[:1], "|" + " --- |" * width, *lines[1:]]) if lines else ""


def _line(row: Sequence[str], width: int) -> str:
    cells = [*row, *[""] * (width - len(row))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
