"""Changing what people write on a run, within bounds that lists and files can bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgellm.domain.errors import InvalidField
from forgellm.domain.runs import Run
from forgellm.services.parts import Parts
from forgellm.storage.labels import Label, read_label, write_label
from forgellm.storage.runs import run_folder

NAME, NOTES, TAG, TAGS = 100, 20_000, 40, 20
"""Characters of a name, of the notes and of one tag; how many tags."""


def change_label(
    parts: Parts,
    run: Run,
    *,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
) -> Label:
    """Write what is given; what is None stays. Raises InvalidField, DiskFull, ReadOnly, PathNotFound."""
    folder = run_folder(parts.workspace, run)
    before = read_label(folder)
    after = replace(
        before,
        name=before.name if name is None else _checked("name", name, NAME),
        notes=before.notes if notes is None else _checked("notes", notes, NOTES),
        tags=before.tags if tags is None else _tags(tags),
    )
    if after != before:
        write_label(folder, after)
    return after


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    if len(tags) > TAGS:
        raise InvalidField(
            f"there are {len(tags)} tags", details={"field": "tags"}, suggestion=f"Give at most {TAGS}."
        )
    return tuple(dict.fromkeys(_checked("tags", tag, TAG) for tag in tags))


def _checked(field: str, text: str, longest: int) -> str:
    if len(text) > longest:
        raise InvalidField(
            f"{field} has {len(text)} characters",
            details={"field": field},
            suggestion=f"Use at most {longest}.",
        )
    return text
