"""One row of a file, as it was written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`values` by column. `file` begins with the dataset's name.

    `line` counts from 1: the line that the row begins on, in a parquet file the number of the row.
    """

    values: Mapping[str, object]
    file: str
    line: int
