"""Models that somebody registered under a name of his own: one file each below `.forgellm/registered`.

They hold no weights: they say which base model is meant.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from forgellm.storage.files import read_json, storage_errors, write_json
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Registered:
    """`number` is unique among runs and registered models; `model_size` is what somebody called it."""

    number: int
    name: str
    base_model: str
    description: str
    model_size: str | None
    created: datetime


def write_registered(workspace: Workspace, model: Registered) -> None:
    """Keep it. Raises DiskFull, ReadOnly."""
    path = _path(workspace, model.number)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**asdict(model), "created": model.created.isoformat()})


def list_registered(workspace: Workspace) -> list[Registered]:
    """All of them, the newest first; files that cannot be read are left out."""
    folder = workspace.private / "registered"
    files = folder.glob("*.json") if folder.is_dir() else ()
    found = (_read(path) for path in files)
    return sorted((one for one in found if one is not None), key=lambda one: -one.number)


def forget_registered(workspace: Workspace, number: int) -> None:
    """Let it be forgotten, if it is there."""
    _path(workspace, number).unlink(missing_ok=True)


def _path(workspace: Workspace, number: int) -> Path:
    return workspace.private / "registered" / f"{number}.json"


def _read(path: Path) -> Registered | None:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        values = read_json(path)
        if isinstance(values, dict) and type(values["number"]) is int:
            return Registered(**{**values, "created": datetime.fromisoformat(str(values["created"]))})
    return None
