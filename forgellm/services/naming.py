"""Names of folders that a person chooses for what a run makes."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from forgellm.domain.errors import InvalidField, RunConflict
from forgellm.services.parts import Parts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(parts: Parts, name: str, parent: Path, *, what: str) -> None:
    """That `name` can name `what` in `parent`. Raises InvalidField, and RunConflict where it is taken."""
    if not _NAME.fullmatch(name):
        raise InvalidField(
            f"name {name!a:.200} cannot name {what}",
            details={"field": "name"},
            suggestion="Use up to 128 letters, digits, dots, hyphens and underscores; begin with a letter.",
        )
    if (parent / name).exists():
        raise RunConflict(
            f"{parts.workspace.relative(parent)}/{name} exists already",
            details={"name": name},
            suggestion="Choose another name, or leave it out.",
        )


def free_name(parent: Path, wanted: str) -> str:
    """`wanted`, cut to a length that a name may have, or `wanted_2` … where that is taken."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", wanted)[:120]
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    return next(name for name in names if not (parent / name).exists())
