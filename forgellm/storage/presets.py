"""Presets of one kind (`training`, `chat`) in `.forgellm/presets/KIND.json`.

What their values mean is decided by who asks for that kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import InvalidField
from forgellm.storage.files import exclusive, read_json, storage_errors, write_json
from forgellm.storage.workspace import Workspace

MOST = 200
"""Presets of one kind."""


@dataclass(frozen=True)
class Preset:
    """Values under a name that a person gave them."""

    name: str
    description: str
    values: Mapping[str, object]


def read_presets(workspace: Workspace, kind: str) -> list[Preset]:
    """The presets of a kind by name; what is no preset in the file is left out."""
    try:
        found = read_json(_path(workspace, kind))
    except (OSError, ValueError):
        return []
    entries = found.items() if isinstance(found, dict) else ()
    presets = (_preset(str(name), entry) for name, entry in entries)
    return sorted((p for p in presets if p is not None), key=lambda p: p.name)


def write_preset(workspace: Workspace, kind: str, preset: Preset) -> None:
    """Keep it, in place of the one of that name. Raises InvalidField beyond MOST, DiskFull, ReadOnly."""
    with _alone(workspace):
        others = [p for p in read_presets(workspace, kind) if p.name != preset.name]
        if len(others) >= MOST:
            raise InvalidField(
                f"there are {len(others)} presets already",
                details={"field": "name"},
                suggestion="Delete one that is not needed any more.",
            )
        _write(workspace, kind, [*others, preset])


def remove_preset(workspace: Workspace, kind: str, name: str) -> bool:
    """Whether there was one of that name, which is gone now. Raises DiskFull, ReadOnly."""
    with _alone(workspace):
        known = read_presets(workspace, kind)
        others = [p for p in known if p.name != name]
        if len(others) == len(known):
            return False
        _write(workspace, kind, others)
        return True


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    with exclusive(workspace.private / "presets.lock"):
        yield


def _write(workspace: Workspace, kind: str, presets: list[Preset]) -> None:
    path = _path(workspace, kind)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {p.name: {"description": p.description, "values": dict(p.values)} for p in presets})


def _preset(name: str, entry: object) -> Preset | None:
    values = entry.get("values") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(values, dict):
        return None
    return Preset(name, str(entry.get("description") or ""), values)


def _path(workspace: Workspace, kind: str) -> Path:
    return workspace.private / "presets" / f"{kind}.json"
