"""Deciding by hand what is otherwise recognised: the shape of a file, and which column is what.

What is left out is decided in `excluding`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from forgellm.data.problems import BadRow
from forgellm.data.rows import SUFFIXES
from forgellm.data.shapes import choose
from forgellm.domain.errors import InvalidField, nearest
from forgellm.services.contents import about
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import WHOLE_FILE, Decisions, read_decisions, write_decisions
from forgellm.storage.files import exclusive

_SECONDS = 60.0
_OF_ROWS = f"Columns are in files of rows: {', '.join(SUFFIXES)}."
Value = TypeVar("Value")


def decide(
    parts: Parts,
    name: str,
    *,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    shapes: Mapping[str, str] | None = None,
    excluded: Mapping[str, list[int]] | None = None,
) -> Decisions:
    """Replace what was decided of each kind that is given; what holds then.

    Raises DatasetNotFound, InvalidField for a file, a shape or a part that there is not, ReadOnly.
    """

    def decided(known: Decisions) -> Decisions:
        return replace(
            known,
            columns=known.columns if columns is None else columns,
            shapes=known.shapes if shapes is None else shapes,
            excluded=known.excluded if excluded is None else excluded,
        )

    return change(parts, name, decided)


def map_columns(
    parts: Parts, name: str, file: str, *, columns: Mapping[str, str], shape: str | None
) -> Decisions:
    """Decide the shape of one file and the columns of its parts; without either, that it is recognised.

    Raises as `decide` does, also for a column that its first rows do not have.
    """
    check_rows(file, "columns", _OF_ROWS)
    if columns:
        _check_columns(parts, name, file, columns)

    def decided(known: Decisions) -> Decisions:
        return replace(
            known,
            columns=_with(known.columns, file, columns),
            shapes=_with(known.shapes, file, shape),
        )

    return change(parts, name, decided)


def change(parts: Parts, name: str, decided: Callable[[Decisions], Decisions]) -> Decisions:
    """Replace what was decided by what `decided` makes of it; what holds then. Raises as `decide` does."""
    folder = find_dataset(parts.workspace, name)
    with exclusive(parts.workspace.private / "datasets.lock"):
        known = read_decisions(folder)
        changed = decided(known)
        changed = replace(changed, excluded=_sorted(changed.excluded))
        # What was decided about a file that has gone hinders nobody.
        _check(folder, changed, known)
        write_decisions(folder, changed)
    return changed


def _with(known: Mapping[str, Value], file: str, value: Value | None) -> dict[str, Value]:
    """Without the file where there is nothing to keep of it."""
    return {**{one: kept for one, kept in known.items() if one != file}, **({file: value} if value else {})}


def _check_columns(parts: Parts, name: str, file: str, columns: Mapping[str, str]) -> None:
    question = about(parts, name, "columns", file=file)
    known = parts.inspections.ask(question, seconds=_SECONDS)["columns"]
    strange = next((one for one in columns.values() if one not in known), None)
    if strange is not None and known:
        near = nearest(strange, known)
        raise InvalidField(
            f"the first rows of {file!r:.200} have no column {strange!r:.200}",
            details={"field": "columns", "file": file, "nearest": near, "known": known[:50]},
            suggestion=f"Did you mean {near!r}?" if near else f"They have {', '.join(known[:20])}.",
        )


def _check(folder: Path, changed: Decisions, known: Decisions) -> None:
    files = set(_files(folder))
    _check_files("columns", changed.columns, files | known.columns.keys())
    _check_files("shapes", changed.shapes, files | known.shapes.keys())
    _check_files("excluded", changed.excluded, files | known.excluded.keys())
    for file, numbers in changed.excluded.items():
        if numbers != [WHOLE_FILE]:
            check_rows(
                file, "excluded", "Name no lines of it, or [0] in a request, and all of it is left out."
            )
    for file in {*changed.columns, *changed.shapes}:
        check_rows(file, "columns", _OF_ROWS)
        try:
            choose(changed.shapes.get(file), changed.columns.get(file, {}))
        except BadRow as bad:
            raise InvalidField(
                f"{file}: {bad.reason}", details={"field": "shapes", "file": file}, suggestion=bad.suggestion
            ) from bad


def _files(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        # A folder that is a link is not looked into, and is refused as if it were a file.
        for name in (*names, *(name for name in folders if Path(place, name).is_symlink())):
            if not name.startswith("."):
                yield Path(place, name).relative_to(folder).as_posix()


def _check_files(field: str, named: Collection[str], files: Collection[str]) -> None:
    strange = next((file for file in named if file not in files), None)
    if strange is not None:
        near = nearest(strange, files)
        raise InvalidField(
            f"the dataset has no file {strange!r:.200}",
            details={"field": field, "nearest": near},
            suggestion=f"Did you mean {near}?" if near else "Name files relative to the dataset's folder.",
        )


def check_rows(file: str, field: str, suggestion: str) -> None:
    """Raises InvalidField where a file is a document by its name."""
    if not file.lower().endswith(SUFFIXES):
        raise InvalidField(
            f"{file!r:.200} is a document and has no rows",
            details={"field": field, "file": file},
            suggestion=suggestion,
        )


def _sorted(excluded: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Without files of which nothing is left out."""
    return {file: sorted(set(numbers)) for file, numbers in excluded.items() if numbers}
