"""Rows with cells between commas, semicolons, tabs or bars, quoted where needed, with or without a header.

What separates the cells and whether there is a header is found out from the beginning of the file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from forgellm.data.problems import BadRow, Problem, quoted
from forgellm.data.tables.row import LONGEST_ROW, SHORTEN, TOO_LONG, Row
from forgellm.data.tables.utf8 import open_text, undecodable
from forgellm.data.text import SAVE_AS_UTF8

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LOOKED_AT = 20
_LONGEST_CELL = LONGEST_ROW // 4
"""Characters: csv keeps four bytes of each in a buffer that doubles, also of a quote never closed."""

_LONGEST_NAME = 64
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,:/ -]*$")


@dataclass(frozen=True)
class Layout:
    """What separates the cells, whether the first row names the columns, and how they are called."""

    delimiter: str
    header: bool
    columns: tuple[str, ...]
    after_delimiter: bool = False

    def __str__(self) -> str:
        named = "the first row names the columns" if self.header else "no row names the columns"
        return f"cells between {_NAMES[self.delimiter]}, {named}"


def layout_of(path: Path, *, header: bool | None = None) -> Layout:
    """Found out from the first rows; `header` says it where it is known. Raises OSError."""
    choices = "\t" if path.suffix.lower() == ".tsv" else "".join(_NAMES)
    delimiter = max(choices, key=lambda one: _evenness(_beginning(path, one)))
    first = next(iter(_beginning(path, delimiter)), [])
    after_delimiter = len(first) > 1 and all(cell.startswith(" ") for cell in first[1:])
    cells = [cell.strip() for cell in first]
    named = _names_columns(cells) if header is None else header
    columns = [cell if cell and named else f"column {n}" for n, cell in enumerate(cells, 1)]
    return Layout(delimiter, named, tuple(columns), after_delimiter)


def read_delimited(path: Path, name: str, *, header: bool | None = None) -> Iterator[Row | Problem]:
    """Every row that is not blank; columns without a name are `column 1`, `column 2` … Raises OSError."""
    layout = layout_of(path, header=header)
    [(column, times)] = Counter(layout.columns).most_common(1) or [("", 0)]
    if times > 1:
        reason = f"has {times} columns called {quoted(column)}"
        yield Problem(name, 1, reason, "Give each column a name of its own.")
        return
    with open_text(path, newline="") as file:
        records = _Records(file, layout)
        wait_for_header = layout.header
        for line, cells in records:
            if isinstance(cells, BadRow):
                yield cells.at(name, line)
            elif wait_for_header:
                wait_for_header = False
            else:
                yield _row(cells, layout, name=name, line=line)


class _Records:
    """(line that it begins on, its cells or why there are none) of each record that is not blank."""

    def __init__(self, file: TextIO, layout: Layout) -> None:
        # The limit is the whole process's; nobody but this module reads with csv, and always with this one.
        csv.field_size_limit(_LONGEST_CELL)
        self._file = file
        self._giant = False
        self._reader = csv.reader(
            self._lines(), delimiter=layout.delimiter, skipinitialspace=layout.after_delimiter, strict=True
        )

    def __iter__(self) -> Iterator[tuple[int, list[str] | BadRow]]:
        while True:
            line = self._reader.line_num + 1
            cells: list[str] | BadRow | None
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                cells = _unreadable(error, until=self._reader.line_num)
            if cells is None:
                return
            if self._giant:
                self._giant = False
                cells = BadRow(TOO_LONG, SHORTEN)
            if cells:
                yield line, cells

    def _lines(self) -> Iterator[str]:
        """The file's lines; of one beyond the limit nothing is left but its end."""
        while line := self._file.readline(LONGEST_ROW + 1):
            if len(line) > LONGEST_ROW:
                self._giant = True
                while (piece := self._file.readline(LONGEST_ROW)) and not piece.endswith("\n"):
                    pass
                line = "\n"
            yield line


def _unreadable(error: csv.Error, *, until: int) -> BadRow:
    said = str(error)
    if "field limit" in said:
        said = f"a cell is longer than {_LONGEST_CELL >> 20} MiB, or a quoted cell does not end"
    elif "unexpected end of data" in said:
        said = "a quoted cell does not end before the file does"
    hint = "Put cells that hold a separator, a quote or a line break into quotes, with their quotes doubled."
    return BadRow(f"is not a row of cells, read up to line {until}: {said}", hint)


def _row(cells: list[str], layout: Layout, *, name: str, line: int) -> Row | Problem:
    if (reason := next((r for r in map(undecodable, cells) if r), None)) is not None:
        return Problem(name, line, reason, SAVE_AS_UTF8)
    if len(cells) > len(layout.columns) and any(cells[len(layout.columns) :]):
        reason = f"has {len(cells)} cells, and the first row has {len(layout.columns)}"
        return Problem(name, line, reason, f"Put cells that hold {layout.delimiter!r} into quotes.")
    return Row(dict(zip(layout.columns, cells, strict=False)), name, line)


def _beginning(path: Path, delimiter: str) -> Iterator[list[str]]:
    with open_text(path, newline="") as file:
        records = _Records(file, Layout(delimiter, False, ()))
        yield from islice((cells for _, cells in records if isinstance(cells, list)), _LOOKED_AT)


def _evenness(records: Iterable[list[str]]) -> tuple[float, int]:
    """How like the rows are in their number of cells, then that number; nothing where there is one only."""
    counts = [len(cells) for cells in records]
    if not counts or counts[0] < 2:
        return 0.0, 0
    return sum(n == counts[0] for n in counts) / len(counts), counts[0]


def _names_columns(cells: list[str]) -> bool:
    """Names are short, differ, are no numbers and no sentences; the first may be empty (an index)."""
    named = cells[1:] if cells and not cells[0] else cells
    return (
        bool(named)
        and all(cell and len(cell) <= _LONGEST_NAME and "\n" not in cell for cell in named)
        and not any(_NUMBER.match(cell) or cell.endswith((".", "?", "!", "。", "？")) for cell in named)
    )
