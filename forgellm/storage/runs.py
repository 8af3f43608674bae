"""Runs on disk: their folders and manifests, creating, listing, finding, and the trash.

A run's events are in `storage.events`, its state, lock and control file in `storage.liveness`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import cast

from forgellm.domain.errors import InvalidPath, RunConflict, RunNotFound, nearest
from forgellm.domain.runs import Run, RunKind, run_id
from forgellm.storage.files import (
    HeldLock,
    Version,
    exclusive,
    read_json,
    settled_version,
    storage_errors,
    write_json,
)
from forgellm.storage.liveness import lock_path
from forgellm.storage.numbers import new_number
from forgellm.storage.workspace import Workspace

MANIFEST = "run.json"
# A manifest may come from anywhere, and the id becomes the name of a folder in the trash.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
# Beyond it JSON readers no longer tell one whole number from the next.
_LARGEST = 2**53


def create_run(
    workspace: Workspace,
    kind: RunKind,
    *,
    spec: Mapping[str, object],
    name: str | None,
    created: datetime,
    versions: Mapping[str, str],
    base_fingerprint: str | None,
) -> Run:
    """A new pending run with a folder of its own: `name` (default: its id), or `name_2` where that is taken.

    The manifest is written last: a folder without one is no run. Raises DiskFull, ReadOnly.
    """
    parent = _parent(workspace, kind)
    with storage_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        workspace.private.mkdir(exist_ok=True)
    with exclusive(workspace.private / "create.lock"):
        known = list_runs(workspace)
        identity = run_id(kind, created, {run.id for run in known} | _names(workspace.trash))
        number = new_number(workspace, known)
        folder = _new_folder(parent, name or identity)
        run = Run(
            id=identity,
            number=number,
            kind=kind,
            folder=folder.relative_to(workspace.root).as_posix(),
            created=created,
            spec=spec,
            versions=versions,
            base_fingerprint=base_fingerprint,
        )
        with ExitStack() as undo:
            undo.callback(folder.rmdir)
            write_json(folder / MANIFEST, _manifest(run))
            undo.pop_all()
    return run


def list_runs(workspace: Workspace) -> list[Run]:
    """Every run of the workspace by number; folders without a readable manifest, and links, are left out."""
    runs = (read_run(folder) for folder in _folders(workspace))
    return sorted((run for run in runs if run is not None), key=lambda run: run.number)


def read_run(folder: Path) -> Run | None:
    """The run in `folder`, or None where it has no readable manifest."""
    try:
        version = settled_version(folder / MANIFEST)
        return _read_manifest(folder) if version is None else _known_manifest(folder, version)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


# Written once and asked for by every list, by each look for one run and by the queue every few seconds.
@lru_cache(maxsize=4096)
def _known_manifest(folder: Path, _version: Version) -> Run:
    return _read_manifest(folder)


def _read_manifest(folder: Path) -> Run:
    values = read_json(folder / MANIFEST)
    return _parse_manifest(cast("Mapping[str, object]", values), folder)


def find_run(workspace: Workspace, key: str) -> Run:
    """The run with that id, number, folder (a path) or name of a folder. Raises RunNotFound, InvalidPath."""
    runs = list_runs(workspace)
    path = workspace.relative(workspace.resolve(key)) if "/" in key else None
    for matches in (
        [run for run in runs if run.id == key],
        [run for run in runs if str(run.number) == key],
        [run for run in runs if run.folder == path],
        [run for run in runs if Path(run.folder).name == key],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            folders = ", ".join(run.folder for run in matches)
            raise _not_found(key, f"Several runs have that id or name; give a folder: {folders}.")
    names = {name: run for run in runs for name in (run.id, run.folder, Path(run.folder).name)}
    near = nearest(key, names)
    raise _not_found(key, f"Did you mean {near}?" if near else "`forgellm runs list` shows every run.")


def run_folder(workspace: Workspace, run: Run) -> Path:
    """The absolute folder of a run."""
    return workspace.root / run.folder


def workspace_of(folder: Path) -> Workspace:
    """The workspace that a run's folder lies in: always three levels up."""
    return Workspace.open(folder.resolve().parents[2])


def move_to_trash(workspace: Workspace, run: Run) -> None:
    """Put the run's folder into the trash, from where `restore_from_trash` brings it back.

    Raises RunConflict while it has a worker, RunNotFound when it is gone.
    """
    with _trash_alone(workspace):
        folder = run_folder(workspace, run)
        if not (folder / MANIFEST).is_file():
            raise _not_found(run.id, "It was deleted or moved; `forgellm runs list` shows every run.")
        lock = HeldLock.acquire(lock_path(folder))
        if lock is None:
            raise RunConflict(
                f"run {run.id} is running",
                details={"run": run.id},
                suggestion=f"Stop it first: forgellm runs stop {run.id}",
            )
        try:
            _move(folder, (workspace.trash / run.id / run.folder).parent)
        finally:
            lock.release()


def restore_from_trash(workspace: Workspace, run_id: str) -> Run:
    """Bring a run back to its place, or beside it where that is taken. Raises RunNotFound, InvalidPath."""
    if not _ID.fullmatch(run_id):
        raise InvalidPath(f"{run_id!r:.80} is no id of a run", suggestion="One is cpt_20250115_103045.")
    with _trash_alone(workspace):
        kept = next(iter((workspace.trash / run_id).glob(f"models/*/*/{MANIFEST}")), None)
        if kept is None:
            raise _not_found(run_id, "Look into .forgellm/trash: it has no run of that id.")
        folder = _move(kept.parent, workspace.models / kept.parents[1].name)
        # Another run of the same id may lie there still: a copy of a run's folder has its id.
        with suppress(OSError):
            os.removedirs(kept.parents[1])
    run = read_run(folder)
    if run is None:
        raise _not_found(run_id, f"Its {MANIFEST} in {folder.name} cannot be read.")
    return run


@contextmanager
def _trash_alone(workspace: Workspace) -> Iterator[None]:
    """Two who throw the same run away, or restore it, would pull it out of each other's hands."""
    with exclusive(workspace.private / "trash.lock"):
        yield


def _move(folder: Path, parent: Path) -> Path:
    """Move a folder into `parent`, under a name beside its own where that is taken; where it lies then."""
    with storage_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        place = _new_folder(parent, folder.name)
        with ExitStack() as undo:
            undo.callback(place.rmdir)
            # A rename over an empty folder is one step.
            os.rename(folder, place)
            undo.pop_all()
    return place


def _parent(workspace: Workspace, kind: RunKind) -> Path:
    return workspace.models / (kind.value if kind.trains else "runs")


def _folders(workspace: Workspace) -> Iterator[Path]:
    for parent in sorted({_parent(workspace, kind) for kind in RunKind}):
        if not parent.is_dir() or parent.is_symlink():
            continue
        with os.scandir(parent) as entries:
            yield from (Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _new_folder(parent: Path, name: str) -> Path:
    suffix = 1
    while True:
        folder = parent / (name if suffix == 1 else f"{name}_{suffix}")
        try:
            with storage_errors(folder):
                folder.mkdir()
            return folder
        except FileExistsError:
            suffix += 1


def _manifest(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "number": run.number,
        "kind": run.kind.value,
        "created": run.created.isoformat(),
        "spec": dict(run.spec),
        "versions": dict(run.versions),
        "base_fingerprint": run.base_fingerprint,
    }


def _parse_manifest(values: Mapping[str, object], folder: Path) -> Run:
    """The place is read from the folder, not the manifest, so that a folder can be renamed and restored."""
    identity, created = str(values["id"]), datetime.fromisoformat(str(values["created"]))
    number, spec, versions, base = (values[k] for k in ("number", "spec", "versions", "base_fingerprint"))
    if type(number) is not int or not 0 < number <= _LARGEST or not _ID.fullmatch(identity):
        raise ValueError(f"{MANIFEST} names no run")
    if not isinstance(spec, dict) or not isinstance(versions, dict):
        raise TypeError(f"{MANIFEST} is not a run's")
    # Raises OverflowError for a time so early or late that it has no place in UTC.
    created.astimezone(timezone.utc)
    return Run(
        id=identity,
        number=number,
        kind=RunKind(str(values["kind"])),
        folder="/".join(folder.parts[-3:]),
        created=created,
        spec=spec,
        versions={str(name): str(version) for name, version in versions.items()},
        base_fingerprint=None if base is None else str(base),
    )


def _not_found(key: str, suggestion: str) -> RunNotFound:
    return RunNotFound(f"there is no run {key!r:.140}", details={"run": key[:140]}, suggestion=suggestion)
