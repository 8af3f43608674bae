"""Rows of cells between commas, semicolons, tabs or bars, quoted where needed, with or without a header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from forgellm.data.problems import BadRow, Problem, quoted
from forgellm.data.tables.cells import Layout, Records
from forgellm.data.tables.layouts import layout_of
from forgellm.data.tables.row import Row
from forgellm.data.tables.utf8 import open_text, undecodable
from forgellm.data.text import SAVE_AS_UTF8


def read_delimited(path: Path, name: str, *, header: bool | None = None) -> Iterator[Row | Problem]:
    """Every row that is not blank; columns without a name are `column 1`, `column 2` … Raises OSError."""
    layout = layout_of(path, header=header)
    [(column, times)] = Counter(layout.columns).most_common(1) or [("", 0)]
    if times > 1:
        reason = f"has {times} columns called {quoted(column)}"
        yield Problem(name, 1, reason, "Give each column a name of its own.")
        return
    with open_text(path, newline="") as file:
        above = layout.above + layout.header
        for line, cells in Records(file, layout):
            if isinstance(cells, BadRow):
                yield cells.at(name, line)
            elif above:
                above -= 1
            else:
                yield _row(cells, layout, name=name, line=line)


def _row(cells: list[str], layout: Layout, *, name: str, line: int) -> Row | Problem:
    if (reason := next((r for r in map(undecodable, cells) if r), None)) is not None:
        return Problem(name, line, reason, SAVE_AS_UTF8)
    if len(cells) > len(layout.columns) and any(cells[len(layout.columns) :]):
        reason = f"has {len(cells)} cells, and the first row has {len(layout.columns)}"
        return Problem(name, line, reason, f"Put cells that hold {layout.delimiter!r} into quotes.")
    return Row(dict(zip(layout.columns, cells, strict=False)), name, line)
