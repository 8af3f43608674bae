"""One row of a file, as it was written there, and the limit that every reader keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_ROW = 16 * 2**20
"""Bytes, or characters. No model has a context that long: such a row is a mistake, not read into memory."""

TOO_LONG = f"is longer than {LONGEST_ROW >> 20} MiB"
SHORTEN = "Shorten or split it."


@dataclass(frozen=True)
class Row:
    """`values` by column. `file` begins with the dataset's name.

    `line` counts from 1: the line that the row begins on, in a parquet file the number of the row.
    """

    values: Mapping[str, object]
    file: str
    line: int
