"""What a run measured as programs take it that draw: bytes in columns, or series.

What the values come to is in `services.curves` and `services.comparison`.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

from forgellm.domain.metrics import Series
from forgellm.domain.runs import Run
from forgellm.services.columns import MEASURED, Columns, columns
from forgellm.services.parts import Parts
from forgellm.storage.runs import run_folder

_WORD = 8


def measurements(parts: Parts, run: Run, *, points: int | None = None) -> bytes:
    """The run's columns after all of its events, about `points` evenly spaced rows of them.

    A line of JSON (`columns`, `rows`, `last_seq`), then each column as 64-bit floats in little-endian
    order. The line is filled up with spaces so that the columns begin at a multiple of 8 bytes.
    Raises ForgeError where the events cannot be read.
    """
    with columns(run_folder(parts.workspace, run)) as known:
        return _packed(known, points)


def last_measured(parts: Parts, run: Run) -> int:
    """The number of the event up to which the run's measurements are known now. Raises ForgeError."""
    with columns(run_folder(parts.workspace, run)) as known:
        return known.last_seq


def measured_series(folder: Path) -> dict[str, Series]:
    """The measurements of the run in `folder` as series. Raises ForgeError where they cannot be read."""
    with columns(folder) as known:
        return {key: known.series(key) for key in MEASURED}


def _packed(known: Columns, points: int | None) -> bytes:
    rows = known.places(points)
    packed = {"iteration": known.iterations, **{key: known.values[key] for key in MEASURED}}
    head = {"columns": list(packed), "rows": len(rows), "last_seq": known.last_seq}
    return _line(head) + b"".join(_little_endian(column, rows) for column in packed.values())


def _line(head: dict[str, object]) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + b" " * (-(len(text) + 1) % _WORD) + b"\n"


def _little_endian(column: array[float], rows: Sequence[int]) -> bytes:
    chosen = column[:] if isinstance(rows, range) else array("d", map(column.__getitem__, rows))
    if sys.byteorder == "big":
        chosen.byteswap()
    return chosen.tobytes()
