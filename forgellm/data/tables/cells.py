"""Records of cells between commas, semicolons, tabs or bars, with the lines that they begin on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from forgellm.data.problems import BadRow
from forgellm.data.tables.row import LONGEST_ROW, SHORTEN, TOO_LONG

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_CELL = LONGEST_ROW // 4
"""Characters: csv keeps four bytes of each in a buffer that doubles, also of a quote never closed."""


@dataclass(frozen=True)
class Layout:
    """What separates the cells, whether the first row names the columns, and how they are called.

    `above` rows stand before it, as titles: they are passed over.
    """

    delimiter: str
    header: bool
    columns: tuple[str, ...]
    blank_after_delimiter: bool = False
    quoted: bool = True
    above: int = 0

    def __str__(self) -> str:
        named = "the first row names the columns" if self.header else "no row names the columns"
        if self.above and self.header:
            rows = "row above it is" if self.above == 1 else f"{self.above} rows above it are"
            named = f"row {self.above + 1} names the columns and the {rows} passed over"
        quoted = "" if self.quoted else ", a quotation mark is a character like others"
        return f"cells between {DELIMITERS[self.delimiter]}, {named}{quoted}"


class Records:
    """(line that it begins on, its cells or why there are none) of each record that is not blank."""

    def __init__(self, file: TextIO, layout: Layout) -> None:
        # The limit is the whole process's; nobody but this module reads with csv, and always with this one.
        csv.field_size_limit(_LONGEST_CELL)
        self._file = file
        self._giant = False
        self._reader = csv.reader(
            self._lines(),
            delimiter=layout.delimiter,
            skipinitialspace=layout.blank_after_delimiter,
            quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
            strict=True,
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
