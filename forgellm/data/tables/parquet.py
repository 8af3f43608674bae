"""Parquet files, a batch of rows at a time. Their lines are row numbers. pyarrow is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from forgellm.data.problems import Problem
from forgellm.data.tables.row import Row

_BATCH = 64
"""Rows: few enough that long documents fit in memory, enough to be read fast."""

_MEND = "Write the file anew, or copy it again."


def read_parquet(path: Path, name: str) -> Iterator[Row | Problem]:
    """Every row. Behind a damaged place nothing is read any more. Raises OSError."""
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        yield Problem(name, None, "needs pyarrow to be read", "Run: pip install 'forgellm[parquet]'")
        return
    number = 0
    with open(path, "rb") as file:
        try:
            for values in _values(parquet, file):
                number += 1
                yield Row(values, name, number)
        except (arrow.ArrowException, ValueError, OverflowError, OSError) as error:
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            yield Problem(name, number + 1, f"is not a parquet file that can be read: {said}", _MEND)


def _values(parquet: ModuleType, file: object) -> Iterator[dict[str, object]]:
    # Without pre-buffering only the pages in hand are in memory, not whole row groups.
    with parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as opened:
        for batch in opened.iter_batches(batch_size=_BATCH):
            yield from batch.to_pylist()
