"""Removing datasets to the trash, and bringing them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from forgellm.domain.errors import DatasetConflict, DatasetNotFound, InvalidField, InvalidPath
from forgellm.domain.runs import Run
from forgellm.services.parts import Parts
from forgellm.storage.dataset_trash import restore_dataset, trash_dataset
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder

_NAMED_BY = ("dataset", "general_dataset")


def remove(parts: Parts, name: str) -> Path:
    """Move the dataset that is listed under exactly that name to the trash; where it lies then.

    Raises InvalidField for what is no name of a dataset, DatasetNotFound, DatasetConflict while a run that is
    not over needs it, ReadOnly.
    """
    check_removable(parts, name)
    return trash_dataset(parts.workspace, name, moment=parts.clock())


def check_removable(parts: Parts, name: str) -> None:
    """Raises what `remove` raises; changes nothing."""
    if name not in list_datasets(parts.workspace):
        if not (_is_plain(name) and name.isprintable()):
            raise _not_a_name(name)
        # Says what is near.
        find_dataset(parts.workspace, name)
        raise _not_a_name(name)
    folder = find_dataset(parts.workspace, name)
    for run in list_runs(parts.workspace):
        if state(run_folder(parts.workspace, run)).is_active and folder in _needed(parts, run):
            raise DatasetConflict(
                f"run {run.id} uses the dataset {name}",
                details={"run": run.id, "dataset": name},
                suggestion=f"Stop it first: forgellm runs stop {run.id}",
            )


def _needed(parts: Parts, run: Run) -> Iterator[Path]:
    """The folders of the datasets that it names, in whatever spelling: `NAME`, `dataset/NAME/`, a path."""
    named = (run.spec.get(field) for field in _NAMED_BY)
    for name in (name for name in named if isinstance(name, str)):
        with suppress(DatasetNotFound, InvalidPath):
            yield find_dataset(parts.workspace, name)


def restore(parts: Parts, name: str) -> str:
    """Bring back what was removed last under that name; its path in the workspace.

    Raises InvalidField, DatasetNotFound, DatasetConflict where there is a dataset of that name, ReadOnly.
    """
    # People give their folders names of all kinds: what was removed under one comes back under it.
    if not _is_plain(name):
        raise _not_a_name(name)
    return parts.workspace.relative(restore_dataset(parts.workspace, name))


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not any(sign in name for sign in "/\\\0")


def _not_a_name(name: str) -> InvalidField:
    return InvalidField(
        f"{name[:80]!r} is no name of a dataset",
        details={"field": "name"},
        suggestion="GET /api/datasets, or `forgellm datasets`, lists them.",
    )
