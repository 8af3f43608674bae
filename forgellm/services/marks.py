"""What another system's request said of a run beyond training it, in the run's label: `provider:unsloth`."""

from __future__ import annotations

from collections.abc import Mapping

from forgellm.domain.runs import Run
from forgellm.services.labels import NAME, change_label
from forgellm.services.parts import Parts
from forgellm.storage.labels import read_label
from forgellm.storage.runs import run_folder

# What a number in JSON holds exactly.
_DIGITS = 15


def mark(parts: Parts, run: Run, marks: Mapping[str, object], *, name: str | None = None) -> None:
    """Add the tags `KEY:VALUE`, and a name. Raises InvalidField, DiskFull, ReadOnly, PathNotFound."""
    known = read_label(run_folder(parts.workspace, run)).tags
    tags = [*known, *(f"{key}:{value}" for key, value in marks.items())]
    change_label(parts, run, tags=tags, name=None if name is None else name[:NAME])


def marks_of(parts: Parts, run: Run) -> dict[str, str]:
    """The tags of that form, by key."""
    tags = (tag.partition(":") for tag in read_label(run_folder(parts.workspace, run)).tags)
    return {key: value for key, colon, value in tags if colon}


def marked_number(parts: Parts, run: Run, key: str) -> int | None:
    """The value of `key` where it is a number: anybody may write a label."""
    value = marks_of(parts, run).get(key, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _DIGITS else None
