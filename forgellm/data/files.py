"""Which files of a dataset are there to be read: the walk, links that lead out, the parts that are held out.

Left out are hidden files and folders, and the folders `valid`, `heldout` and `test` at the top of a dataset,
which are not trained on. What is in a file is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

NOT_TRAINED_ON = ("valid", "heldout", "test")


def dataset_files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` that is not left out, folder after folder, in the order of their names."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        excluded = NOT_TRAINED_ON if Path(place) == folder else ()
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in excluded)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(place, name)


def misplaced(path: Path, dataset: Path) -> str | None:
    """Why a file must not be opened: a link out of its dataset, or a pipe, which would block for ever."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        # What pathlib raises for it changed in 3.13.
        return "is a link that leads to itself"
    if dataset.resolve() not in real.parents:
        return "is a link to a place outside the dataset"
    odd = path.exists() and not path.is_file() and not path.is_dir()
    return "is a pipe or a device, not a file" if odd else None


def _raise(error: OSError) -> None:
    # A folder that cannot be listed is not an empty one; one that is not there is.
    if not isinstance(error, FileNotFoundError):
        raise error
