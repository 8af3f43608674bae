"""Which files of a dataset hold rows, and which part of the dataset each belongs to.

A file `valid.*`, and any file in the folder `valid/`, is validated on as it is; `heldout` and `test` are not
trained on either. `validation`, `val`, `dev` and `eval` say the same as `valid`, and a number may follow, as
in `test-00000-of-00002.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgellm.data.files import NOT_TRAINED_ON, dataset_files, misplaced
from forgellm.data.rows import SUFFIXES

Part = Literal["train", "valid", "heldout", "test"]

_NAMES: dict[str, Part] = {
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval"), "valid"),
    "heldout": "heldout",
    "test": "test",
}
_STEM = re.compile(rf"({'|'.join(_NAMES)})([-_.]?[0-9][-_0-9of]*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class RowFile:
    """`relative` is what decisions call it (`sub/train.jsonl`), `name` what problems do (`DATASET/…`)."""

    path: Path
    dataset: Path
    part: Part

    @property
    def relative(self) -> str:
        return self.path.relative_to(self.dataset).as_posix()

    @property
    def name(self) -> str:
        return f"{self.dataset.name}/{self.relative}"


def row_files(folder: Path, *, part: Part | None = None) -> Iterator[RowFile]:
    """The files of rows in a dataset, part after part; only those of `part` where one is given.

    A part that is a link out of the dataset is given as a file itself, to be refused. Raises OSError where a
    folder cannot be listed.
    """
    for place in (folder, *(folder / name for name in NOT_TRAINED_ON)):
        linked = place != folder and misplaced(place, folder) is not None
        for path in (place,) if linked else dataset_files(place):
            if linked or path.suffix.lower() in SUFFIXES:
                found = RowFile(path, folder, _part(path, None if place == folder else place.name))
                if part in (None, found.part):
                    yield found


def _part(path: Path, within: str | None) -> Part:
    named = _STEM.match(within or path.stem)
    return "train" if named is None else _NAMES[named.group(1).lower()]
