"""Parquet files, a batch of rows at a time. Their lines are row numbers. pyarrow is an extra."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from forgellm.data.problems import BadRow, Problem, quoted
from forgellm.data.tables.row import LONGEST_ROW, SHORTEN, TOO_LONG, Row

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
                if isinstance(values, BadRow):
                    yield values.at(name, number)
                else:
                    yield Row(values, name, number)
        except BadRow as bad:
            yield bad.at(name, None)
        except (arrow.ArrowException, ValueError, OverflowError, OSError) as error:
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            yield Problem(name, number + 1, f"is not a parquet file that can be read: {said}", _MEND)


def _values(parquet: ModuleType, file: object) -> Iterator[dict[str, object] | BadRow]:
    """Each row, or why it is none. Raises BadRow where no row can be told from the columns."""
    # Without pre-buffering only the pages in hand are in memory, not whole row groups.
    with parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as opened:
        [(column, times)] = Counter(opened.schema_arrow.names).most_common(1) or [("", 0)]
        if times > 1:
            raise BadRow(
                f"has {times} columns called {quoted(column)}", "Give each column a name of its own."
            )
        for batch in opened.iter_batches(batch_size=_BATCH):
            if batch.nbytes <= LONGEST_ROW:
                yield from batch.to_pylist()
                continue
            for number in range(batch.num_rows):
                [row] = batch.slice(number, 1).to_pylist()
                yield BadRow(TOO_LONG, SHORTEN) if _length(row) > LONGEST_ROW else row


def _length(row: Mapping[str, object]) -> int:
    return sum(len(one) if isinstance(one, str | bytes) else len(repr(one)) for one in row.values())
