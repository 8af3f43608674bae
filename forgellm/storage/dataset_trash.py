"""Datasets in the trash: `.forgellm/trash/NAME_MOMENT/dataset/NAME`."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from forgellm.domain.errors import DatasetConflict, DatasetNotFound
from forgellm.storage.files import exclusive, storage_errors
from forgellm.storage.workspace import Workspace

_LONGEST = 200
"""Bytes of a dataset's name in that of its place."""


def trash_dataset(workspace: Workspace, name: str, *, moment: datetime) -> Path:
    """Put the dataset of that name into the trash; where it lies then. Raises DatasetNotFound, ReadOnly."""
    source = workspace.datasets / name
    with exclusive(workspace.private / "trash.lock"), storage_errors(source):
        if not os.path.lexists(source):
            raise _not_found(name, "It was removed or moved meanwhile.")
        # With the moment behind it the name is not to become longer than one may be.
        begun = os.fsencode(name)[:_LONGEST].decode(errors="ignore")
        place = _free(workspace.trash, f"{begun}_{moment:%Y%m%d_%H%M%S}") / "dataset" / name
        place.parent.mkdir(parents=True)
        # Also across disks, where dataset/ is a link to another one.
        shutil.move(source, place)
    return place


def restore_dataset(workspace: Workspace, name: str) -> Path:
    """Bring back the dataset of that name that was removed last.

    Raises DatasetNotFound where the trash has none, DatasetConflict where its place is taken.
    """
    target = workspace.datasets / name
    with exclusive(workspace.private / "trash.lock"), storage_errors(target):
        kept = [p for p in workspace.trash.glob("*/dataset/*") if p.name == name and os.path.lexists(p)]
        if not kept:
            raise _not_found(name, "Look into .forgellm/trash: it has no dataset of that name.")
        if os.path.lexists(target):
            raise DatasetConflict(
                f"{name!r:.120} cannot come back: there is a dataset of that name",
                details={"name": name[:120]},
                suggestion="Remove or rename that one first.",
            )
        last = max(kept, key=lambda path: path.parents[1].stat().st_ctime_ns)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(last, target)
        with suppress(OSError):
            os.removedirs(last.parent)
    return target


def _free(parent: Path, name: str) -> Path:
    """A name below `parent` that nothing has."""
    number, path = 1, parent / name
    while os.path.lexists(path):
        number, path = number + 1, parent / f"{name}_{number + 1}"
    return path


def _not_found(name: str, suggestion: str) -> DatasetNotFound:
    return DatasetNotFound(
        f"there is no dataset {name!r:.140}", details={"dataset": name[:140]}, suggestion=suggestion
    )
