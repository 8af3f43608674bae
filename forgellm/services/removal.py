"""Removing models: to the trash from the workspace, for good from the Hub's cache. Runs stay."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import ForgeError, InvalidField, InvalidPath, RunConflict
from forgellm.domain.runs import Run
from forgellm.services.models import folder_size
from forgellm.services.parts import Parts
from forgellm.storage.files import remove_folder, storage_errors
from forgellm.storage.liveness import state
from forgellm.storage.model_server import read_record, running_at
from forgellm.storage.models import cache_folder, find_model, is_hub_id
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.trash import put_away

_LOOKS = 8


@dataclass(frozen=True)
class Removable:
    """A model's `folder`. `for_good`: it cannot be brought back; `runs` were trained on it."""

    name: str
    folder: Path
    size_bytes: int
    for_good: bool
    runs: list[Run]


def find_removable(parts: Parts, name: str, *, wait: Callable[[], None]) -> Removable:
    """The model of that name: a folder right below models/base or models/published, or one that was
    downloaded. `wait` is called between two looks at what is resident.

    Raises ModelNotFound, InvalidField for a model of another kind, RunConflict while a run uses it or the
    model server holds it.
    """
    own = _own_folder(parts, name)
    folder = own or _cached_folder(parts, name)
    if folder is None:
        # Says what is near, where there is no model of that name.
        find_model(parts.workspace, parts.hub_cache, name)
        raise InvalidField(
            f"{name!r:.120} is neither a base nor a published model",
            details={"field": "model"},
            suggestion="Only what lies in models/base or models/published, or was downloaded, is removed "
            "here; for a run there is `forgellm runs delete`.",
        )
    users = _users(parts, name, folder)
    busy = next((run for run in users if state(run_folder(parts.workspace, run)).is_active), None)
    if busy is not None:
        raise RunConflict(
            f"run {busy.id} uses {name}",
            details={"run": busy.id, "model": name},
            suggestion=f"Stop it first: forgellm runs stop {busy.id}",
        )
    _check_not_resident(parts, name, folder, wait=wait)
    return Removable(name, folder, folder_size(folder), own is None, users)


def remove(parts: Parts, model: Removable) -> str | None:
    """Move it to the trash, or delete it where it lies outside the workspace. The entry of the trash.

    Raises ReadOnly, DiskFull.
    """
    if not model.for_good:
        return put_away(parts.workspace, model.folder, moment=parts.clock())
    with storage_errors(model.folder):
        # In one step, so that half of it is never taken for a model.
        doomed = model.folder.with_name(f".removed-{model.folder.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        model.folder.rename(doomed)
        remove_folder(doomed)
        shutil.rmtree(parts.hub_cache / ".locks" / model.folder.name, ignore_errors=True)
    return None


def _own_folder(parts: Parts, name: str) -> Path | None:
    """By its path from the workspace or from models/."""
    parents = {parts.workspace.base_models.resolve(), parts.workspace.published.resolve()}
    for start in (None, parts.workspace.models):
        try:
            path = parts.workspace.resolve(name, within=start)
        except InvalidPath:
            continue
        if path.parent in parents and path.is_dir() and not path.name.startswith("."):
            return path
    return None


def _cached_folder(parts: Parts, name: str) -> Path | None:
    folder = cache_folder(parts.hub_cache, name)
    # A link leads to what somebody else has put elsewhere.
    return folder if is_hub_id(name) and folder.is_dir() and not folder.is_symlink() else None


def _check_not_resident(parts: Parts, name: str, folder: Path, *, wait: Callable[[], None]) -> None:
    for _ in range(_LOOKS):
        if not _is_resident(parts, folder):
            return
        # The model server writes down what it holds a moment after it has changed.
        wait()
    raise RunConflict(
        f"{name} is the resident model",
        details={"model": name},
        suggestion="Unload it first, on the page of models or with POST /api/model/unload.",
    )


def _is_resident(parts: Parts, folder: Path) -> bool:
    record = read_record(parts.workspace) if running_at(parts.workspace) else None
    resident = None if record is None else record.target
    return resident is not None and _is_in(parts, resident.model_name, folder)


def _users(parts: Parts, name: str, folder: Path) -> list[Run]:
    runs = [run for run in list_runs(parts.workspace) if run.kind.trains]
    names = {str(run.spec.get("model_name")) for run in runs}
    same = {other for other in names if other == name or _is_in(parts, other, folder)}
    return [run for run in runs if str(run.spec.get("model_name")) in same]


def _is_in(parts: Parts, name: str, folder: Path) -> bool:
    try:
        path = find_model(parts.workspace, parts.hub_cache, name).path
    except ForgeError:
        return False
    return folder == path or folder in path.parents
