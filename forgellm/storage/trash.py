"""Models in the trash: `.forgellm/trash/ENTRY/models/PARENT/NAME`, from where they can be brought back.

Runs have entries of their own, named by their ids: `storage.runs` looks after those.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from forgellm.domain.errors import InvalidPath, ModelNotFound
from forgellm.storage.files import exclusive, storage_errors
from forgellm.storage.workspace import Workspace, visible_folders

_ENTRY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


def put_away(workspace: Workspace, folder: Path, *, moment: datetime) -> str:
    """Move a folder two levels below `models/` into the trash; the entry that `bring_back` takes.

    Raises ReadOnly, DiskFull.
    """
    with exclusive(workspace.private / "trash.lock"), storage_errors(folder):
        entry = _free(workspace.trash / f"{_plain(folder.name)}_{moment:%Y%m%d_%H%M%S}")
        parent = entry / "models" / folder.parent.name
        parent.mkdir(parents=True)
        # Also across disks, where models/ is a link to another one.
        shutil.move(folder, parent / folder.name)
    return entry.name


def bring_back(workspace: Workspace, entry: str) -> Path:
    """Move what lies in an entry back to its place, or beside it where that is taken; where it is then.

    Raises InvalidPath, ModelNotFound, ReadOnly, DiskFull.
    """
    if not _ENTRY.fullmatch(entry):
        raise InvalidPath(
            f"{entry!r:.80} is no entry of the trash", suggestion="One is tiny_20250115_103000."
        )
    with exclusive(workspace.private / "trash.lock"):
        kept = _kept(workspace, workspace.trash / entry)
        if kept is None:
            raise ModelNotFound(
                f"the trash has no model {entry!r:.120}",
                suggestion="It was brought back already, or its folder in .forgellm/trash was deleted.",
            )
        parent = workspace.models / kept.parent.name
        with storage_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            place = _free(parent / kept.name)
            shutil.move(kept, place)
        for empty in (kept.parent, kept.parent.parent, kept.parent.parent.parent):
            with suppress(OSError):
                empty.rmdir()
    return place


def _kept(workspace: Workspace, entry: Path) -> Path | None:
    parents = (entry / "models" / place.name for place in (workspace.base_models, workspace.published))
    return next((folder for parent in parents for folder in visible_folders(workspace, parent)), None)


def _free(path: Path) -> Path:
    """The path, or one beside it that nothing has."""
    suffix, free = 1, path
    while free.exists():
        suffix += 1
        free = path.with_name(f"{path.name}_{suffix}")
    return free


def _plain(name: str) -> str:
    """A name that an address can have."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:120].lstrip(".") or "model"
