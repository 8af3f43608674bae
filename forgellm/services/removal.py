"""Removing base models: to the trash from the workspace, for good from the Hub's cache. Runs stay."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import ForgeError, InvalidField, InvalidPath, RunConflict
from forgellm.domain.runs import Run
from forgellm.services.models import folder_size
from forgellm.services.parts import Parts
from forgellm.storage.files import storage_errors
from forgellm.storage.liveness import state
from forgellm.storage.models import cache_folder, find_model, is_hub_id
from forgellm.storage.runs import list_runs, run_folder


@dataclass(frozen=True)
class Removable:
    """A base model's `folder`. `trash` is where it goes, None where it is deleted for good; `runs` were
    trained on it.
    """

    name: str
    folder: Path
    size_bytes: int
    trash: Path | None
    runs: list[Run]


def find_removable(parts: Parts, name: str) -> Removable:
    """The base model of that name: a folder right below models/base, or one that was downloaded.

    Raises ModelNotFound, InvalidField for a model of another kind, RunConflict while a run uses it.
    """
    folder = _base_folder(parts, name) or _cached_folder(parts, name)
    if folder is None:
        # Says what is near, where there is no model of that name.
        find_model(parts.workspace, parts.hub_cache, name)
        raise InvalidField(
            f"{name!a:.120} is no base model",
            details={"field": "model"},
            suggestion="Only what lies in models/base or was downloaded is removed; for a run there is "
            "`forgellm runs delete`.",
        )
    users = [run for run in list_runs(parts.workspace) if run.kind.trains and _uses(parts, run, name, folder)]
    busy = next((run for run in users if state(run_folder(parts.workspace, run)).is_active), None)
    if busy is not None:
        raise RunConflict(
            f"run {busy.id} uses {name}",
            details={"run": busy.id, "model": name},
            suggestion=f"Stop it first: forgellm runs stop {busy.id}",
        )
    return Removable(name, folder, folder_size(folder), _trash(parts, folder), users)


def remove(parts: Parts, model: Removable) -> None:
    """Move it to the trash, or delete it where it lies outside the workspace. Raises ReadOnly, DiskFull."""
    with storage_errors(model.folder):
        if model.trash is not None:
            model.trash.parent.mkdir(parents=True, exist_ok=True)
            # Also across disks, where models/ is a link to another one.
            shutil.move(model.folder, model.trash)
            return
        # In one step, so that half of it is never taken for a model.
        doomed = model.folder.with_name(f".removed-{model.folder.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        model.folder.rename(doomed)
        shutil.rmtree(doomed)
        shutil.rmtree(parts.hub_cache / ".locks" / model.folder.name, ignore_errors=True)


def _base_folder(parts: Parts, name: str) -> Path | None:
    base = parts.workspace.base_models
    for start in (None, parts.workspace.models):
        try:
            path = parts.workspace.resolve(name, within=start)
        except InvalidPath:
            continue
        if path.parent == base.resolve() and path.is_dir() and not path.name.startswith("."):
            return path
    return None


def _cached_folder(parts: Parts, name: str) -> Path | None:
    folder = cache_folder(parts.hub_cache, name)
    # A link leads to what somebody else has put elsewhere.
    return folder if is_hub_id(name) and folder.is_dir() and not folder.is_symlink() else None


def _trash(parts: Parts, folder: Path) -> Path | None:
    if parts.workspace.base_models.resolve() != folder.parent:
        return None
    moment = parts.clock().strftime("%Y%m%d_%H%M%S")
    return parts.workspace.trash / f"{folder.name}_{moment}" / "models" / "base" / folder.name


def _uses(parts: Parts, run: Run, name: str, folder: Path) -> bool:
    used = str(run.spec.get("model_name"))
    if used == name:
        return True
    try:
        path = find_model(parts.workspace, parts.hub_cache, used).path
    except ForgeError:
        return False
    return folder == path or folder in path.parents
