"""Deciding by hand what is otherwise recognised: the shape and the columns of a file, what is left out."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from forgellm.data.problems import BadRow
from forgellm.data.shapes import choose
from forgellm.domain.errors import InvalidField, nearest
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import Decisions, read_decisions, write_decisions
from forgellm.storage.files import exclusive


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
    folder = find_dataset(parts.workspace, name)
    with exclusive(parts.workspace.private / "datasets.lock"):
        known = read_decisions(folder)
        decided = replace(
            known,
            columns=known.columns if columns is None else columns,
            shapes=known.shapes if shapes is None else shapes,
            excluded=known.excluded if excluded is None else _sorted(excluded),
        )
        _check(folder, decided)
        write_decisions(folder, decided)
    return decided


def _check(folder: Path, decided: Decisions) -> None:
    files = {
        Path(place, name).relative_to(folder).as_posix()
        for place, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    }
    for field, by_file in (
        ("columns", decided.columns),
        ("shapes", decided.shapes),
        ("excluded", decided.excluded),
    ):
        _check_files(field, by_file, files)
    for file in {*decided.columns, *decided.shapes}:
        try:
            choose(decided.shapes.get(file), decided.columns.get(file, {}))
        except BadRow as bad:
            raise InvalidField(
                f"{file}: {bad.reason}", details={"field": "shapes", "file": file}, suggestion=bad.suggestion
            ) from bad


def _check_files(field: str, named: Collection[str], files: Collection[str]) -> None:
    strange = next((file for file in named if file not in files), None)
    if strange is not None:
        near = nearest(strange, files)
        raise InvalidField(
            f"the dataset has no file {strange!a:.200}",
            details={"field": field, "nearest": near},
            suggestion=f"Did you mean {near}?" if near else "Name files relative to the dataset's folder.",
        )


def _sorted(excluded: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Without files of which nothing is left out."""
    return {file: sorted(set(numbers)) for file, numbers in excluded.items() if numbers}
