"""Which files of a dataset hold rows, and which part of the dataset each belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Part = Literal["train", "valid", "heldout", "test"]


@dataclass(frozen=True)
class RowFile:
    """`relative` is what decisions call it (`sub/train.jsonl`), `name` what problems call it (`DATASET/…`)."""

    path: Path
    relative: str
    name: str
    part: Part


def row_files(folder: Path, *, part: Part | None = None) -> Iterator[RowFile]:
    """The files of rows in a dataset, by name; only those of `part` where one is given."""
    raise NotImplementedError
