"""How a table is written, found out from its beginning: what separates the cells, quotes, a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from forgellm.data.problems import BadRow
from forgellm.data.tables.cells import DELIMITERS, Layout, Records
from forgellm.data.tables.utf8 import open_text

_LOOKED_AT = 20
_FITTED = 20_000
_LONGEST_NAME = 64
_WIDE = 3
"""Columns of a table that may have a title: of a narrower one it could be a row with an empty answer."""

_NUMBER = re.compile(r"[-+]?[0-9][0-9.,:/ -]*$")


def layout_of(path: Path, *, header: bool | None = None) -> Layout:
    """Found out from the first rows; `header` says it where it is known. Raises OSError."""
    choices = "\t" if path.suffix.lower() == ".tsv" else "".join(DELIMITERS)
    delimiter = max(choices, key=lambda one: _evenness(_beginning(path, one)))
    quoted = delimiter != "\t" or _are_quoted(path)
    above = 1 if _says_separator(path) else _above(_beginning(path, delimiter)) if header is None else 0
    first = next(islice(_beginning(path, delimiter), above, None), [])
    blank = len(first) > 1 and all(cell.startswith(" ") for cell in first[1:])
    cells = [cell.strip() for cell in first]
    named = _names_columns(cells) if header is None else header
    columns = [cell if cell and named else f"column {n}" for n, cell in enumerate(cells, 1)]
    return Layout(delimiter, named, tuple(columns), blank, quoted, above)


def _beginning(path: Path, delimiter: str) -> Iterator[list[str]]:
    found = _some(path, Layout(delimiter, False, ()), most=_LOOKED_AT)
    return (cells for cells in found if isinstance(cells, list))


def _some(path: Path, layout: Layout, *, most: int) -> Iterator[list[str] | BadRow]:
    with open_text(path, newline="") as file:
        yield from islice((cells for _, cells in Records(file, layout)), most)


def _are_quoted(path: Path) -> bool:
    """Whether cells between tabs are quoted; by their standard they are not, and spreadsheets do it.

    Read as quoted by mistake, rows between two stray marks would become one, and nobody would see it.
    """
    plain = _Fit.of(_some(path, Layout("\t", False, (), quoted=False), most=_FITTED))
    if not plain.marks:
        return False
    quoted = _Fit.of(_some(path, Layout("\t", False, ()), most=_FITTED))
    return quoted.odd <= plain.odd and (plain.odd > 0 or quoted.rows == plain.rows)


@dataclass(frozen=True)
class _Fit:
    """How many rows there are, how many are unlike the first, how many cells begin with a quotation mark."""

    rows: int
    odd: int
    marks: int

    @classmethod
    def of(cls, records: Iterator[list[str] | BadRow]) -> _Fit:
        rows = odd = marks = wanted = 0
        for cells in records:
            rows += 1
            if isinstance(cells, BadRow):
                odd += 1
                continue
            wanted = wanted or len(cells)
            odd += len(cells) != wanted
            marks += any(cell.startswith('"') for cell in cells)
        return cls(rows, odd, marks)


def _evenness(records: Iterable[list[str]]) -> tuple[float, int]:
    """How like the rows are in their number of cells, then that number; nothing where there is one only."""
    counts = [len(cells) for cells in records]
    if not counts or counts[0] < 2:
        return 0.0, 0
    return sum(n == counts[0] for n in counts) / len(counts), counts[0]


def _says_separator(path: Path) -> bool:
    """Whether the first line is `sep=;`, which tells Excel what separates the cells."""
    with open_text(path) as file:
        return file.readline(7).rstrip("\n") in {f"sep={one}" for one in DELIMITERS}


def _above(rows: Iterable[list[str]]) -> int:
    """How many rows stand above the one with the names: a spreadsheet's title, with nothing beside it."""
    wide = 0
    for above, cells in enumerate(rows):
        if any(cells[1:]):
            fits = len(cells) == wide >= _WIDE and _names_columns([cell.strip() for cell in cells])
            return above if fits else 0
        if len(cells) != (wide or len(cells)):
            return 0
        wide = len(cells)
    return 0


def _names_columns(cells: list[str]) -> bool:
    """Names are short, differ, are no numbers and no sentences; the first may be empty (an index)."""
    named = cells[1:] if cells and not cells[0] else cells
    return (
        bool(named)
        and all(cell and len(cell) <= _LONGEST_NAME and "\n" not in cell for cell in named)
        and not any(_NUMBER.match(cell) or cell.endswith((".", "?", "!", "。", "？")) for cell in named)
    )
