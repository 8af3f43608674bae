"""Names of folders that a person chooses for what a run makes: nobody else's, also before they are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from forgellm.domain.errors import InvalidField, RunConflict
from forgellm.domain.runs import Run, RunKind
from forgellm.services.parts import Parts
from forgellm.services.repeats import under_way
from forgellm.storage.files import exclusive

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@contextmanager
def names_alone(parts: Parts) -> Iterator[None]:
    """Nobody else chooses a name until the block has created the run that makes what is called so.

    Raises DiskFull, ReadOnly.
    """
    with exclusive(parts.workspace.private / "names.lock"):
        yield


def check_name(parts: Parts, name: str, parent: Path, *, what: str) -> None:
    """That `name` can name `what` in `parent`. Raises InvalidField, and RunConflict where it is taken."""
    if not _NAME.fullmatch(name):
        raise InvalidField(
            f"name {name!r:.200} cannot name {what}",
            details={"field": "name"},
            suggestion="Use a to z, A to Z, digits and . _ -, 128 at most; begin with a letter.",
        )
    place = f"{parts.workspace.relative(parent)}/{name}"
    # A run puts its folder there before it ends: asked the other way round, both could miss it.
    maker = _maker(parts, parent, name)
    if maker is not None:
        raise RunConflict(
            f"{place} is being made by run {maker.id}",
            details={"name": name, "run": maker.id},
            suggestion="Choose another name, or leave it out.",
        )

    if (parent / name).exists():
        raise RunConflict(
            f"{place} exists already",
            details={"name": name},
            suggestion="Choose another name, or leave it out.",
        )


def free_name(parts: Parts, parent: Path, wanted: str) -> str:
    """`wanted`, cut to a length that a name may have, or `wanted_2` … where that is taken."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", wanted)[:120]
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    return next(name for name in names if not (_maker(parts, parent, name) or (parent / name).exists()))


def _maker(parts: Parts, parent: Path, name: str) -> Run | None:
    """The run that waits or runs and will put something called `name` into `parent`."""
    exports = parent == parts.workspace.exports
    kinds = (RunKind.EXPORT,) if exports else (RunKind.PUBLISH, RunKind.QUANTIZE)
    return next(chain.from_iterable(under_way(parts, kind, {"name": name}) for kind in kinds), None)
