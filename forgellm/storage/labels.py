"""What people write on a run: `label.json` beside its run.json. Training never reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from forgellm.storage.files import read_json, write_json

LABEL = "label.json"


@dataclass(frozen=True)
class Label:
    """A name to show in place of the id, notes, and words to find the run by."""

    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()


def read_label(folder: Path) -> Label:
    """The label of the run in `folder`; an empty one where there is none that can be read."""
    try:
        found = read_json(folder / LABEL)
    except (OSError, ValueError, RecursionError):
        return Label()
    if not isinstance(found, dict):
        return Label()
    tags = found.get("tags")
    return Label(
        name=_text(found.get("name")),
        notes=_text(found.get("notes")),
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def write_label(folder: Path, label: Label) -> None:
    """Write the label anew. Raises DiskFull, ReadOnly, PathNotFound for a run that was deleted."""
    write_json(folder / LABEL, {**asdict(label), "tags": list(label.tags)})


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
