"""Leaving rows and files of a dataset out, and taking them back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import cast

from forgellm.domain.errors import InvalidField, nearest
from forgellm.jobs.inspector import OnProgress
from forgellm.services.contents import about
from forgellm.services.decisions import change, check_rows
from forgellm.services.parts import Parts
from forgellm.storage.decisions import WHOLE_FILE, Decisions

# Without any progress.
_SECONDS = 900.0


def exclude(parts: Parts, name: str, lines: Mapping[str, Collection[int]]) -> Decisions:
    """Leave out the rows that begin on `lines` of each file (`[0]`: all of it) beside those left out before.

    Raises as `decide` does.
    """

    def decided(known: Decisions) -> Decisions:
        more = {file: [*known.excluded.get(file, ()), *numbers] for file, numbers in lines.items()}
        return replace(known, excluded={**known.excluded, **more})

    return change(parts, name, decided)


def include(parts: Parts, name: str, *, file: str | None, lines: Collection[int]) -> Decisions:
    """Leave nothing out any more: of the lines of a file; without lines of the file; without a file of all.

    Raises as `decide` does, InvalidField for lines of a file that is left out as a whole.
    """

    def decided(known: Decisions) -> Decisions:
        if file is None:
            return replace(known, excluded={})
        if file not in known.excluded:
            near = nearest(file, known.excluded)
            raise InvalidField(
                f"nothing of {file!r:.200} is left out",
                details={"field": "excluded", "file": file, "nearest": near},
                suggestion=f"Did you mean {near}?" if near else "",
            )
        left = [number for number in known.excluded.get(file, ()) if lines and number not in lines]
        if WHOLE_FILE in left:
            raise InvalidField(
                f"{file!r:.200} is left out as a whole",
                details={"field": "excluded", "file": file},
                suggestion="Take all of it back first, by naming no line.",
            )
        return replace(known, excluded={**known.excluded, file: left})

    return change(parts, name, decided)


def exclude_refused(
    parts: Parts, name: str, *, file: str | None, model: str | None, on_progress: OnProgress | None = None
) -> Mapping[str, list[int]]:
    """Leave out every row that cannot be used, of one file or of all; with a model, also those that its chat
    template refuses. By file, the lines that are left out now and were not before.

    Raises DatasetNotFound, PathNotFound, ModelNotFound, InvalidDataset where a row that can be used begins on
    the same line as one that cannot, ReadOnly.
    """
    question = about(parts, name, "refused", file=file, model=model)
    lines = parts.inspections.ask(question, seconds=_SECONDS, on_progress=on_progress)["lines"]
    if lines:
        exclude(parts, name, lines)
    return cast("Mapping[str, list[int]]", lines)


def rows_at(parts: Parts, name: str, file: str, lines: Collection[int]) -> int:
    """How many rows of a file begin on the lines. Raises InvalidField where none does, PathNotFound."""
    check_rows(file, "excluded", "Name no lines of it, and all of it is left out.")
    question = about(parts, name, "located", file=file, lines=sorted(lines))
    found = parts.inspections.ask(question, seconds=_SECONDS)
    if found["missing"]:
        raise InvalidField(
            f"no row of {file!r:.200} begins on line {', '.join(map(str, found['missing'][:5]))}",
            details={"field": "excluded", "file": file, "lines": found["missing"]},
            suggestion=f"`forgellm datasets show {name} --file {file}` shows rows with their lines.",
        )
    return cast("int", found["rows"])
