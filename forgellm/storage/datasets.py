"""Datasets by name: the folders below `dataset/`. What is in them is read in `data`."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from forgellm.domain.errors import DatasetNotFound, nearest
from forgellm.storage.decisions import DECISIONS_FILE
from forgellm.storage.workspace import Workspace, visible_folders


def find_dataset(workspace: Workspace, name: str) -> Path:
    """The folder of a dataset, named `NAME` or `dataset/NAME`. Raises DatasetNotFound, InvalidPath."""
    path = workspace.resolve(name, within=workspace.datasets)
    if not path.is_dir() and name.startswith("dataset/"):
        path = workspace.resolve(name.removeprefix("dataset/"), within=workspace.datasets)
    if path.is_dir():
        return path
    known = list_datasets(workspace)
    near = nearest(name, known)
    raise DatasetNotFound(
        f"there is no dataset {name!r}",
        details={"dataset": name, "searched_paths": [str(path)], "nearest": near, "known": known},
        suggestion=f"Did you mean {near!r}?" if near else f"Put your files into dataset/{name}.",
    )


def list_datasets(workspace: Workspace) -> list[str]:
    """The names of the datasets, in order. Links that leave the folder are none: nobody could use them."""
    return sorted(path.name for path in visible_folders(workspace, workspace.datasets))


def dataset_fingerprint(folder: Path) -> str:
    """Another one whenever a file of the dataset, or a decision about it, has changed. Looks at names, sizes
    and times alone.
    """
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") or name == DECISIONS_FILE:
                path = Path(place, name)
                # It may have gone since its name was read.
                with suppress(FileNotFoundError):
                    status = path.lstat()
                    # A name may have bytes that are no UTF-8.
                    digest.update(os.fsencode(path.relative_to(folder)))
                    digest.update(f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
