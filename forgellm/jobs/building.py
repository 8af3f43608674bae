"""A folder that a run makes: built under a hidden name, renamed into its place once it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgellm.domain.errors import RunConflict
from forgellm.jobs.job import Job
from forgellm.storage.files import move_folder, storage_errors
from forgellm.storage.liveness import is_alive
from forgellm.storage.runs import list_runs, run_folder

_BUILDING = ".building-"


@contextmanager
def building_of(job: Job, target: Path) -> Iterator[Path]:
    """A hidden folder that becomes `target` when the block ends without an error and has not removed it.

    Raises RunConflict where `target` came into being meanwhile; DiskFull, ReadOnly.
    """
    building = target.parent / f"{_BUILDING}{job.run.id}"
    with storage_errors(target):
        building.mkdir(parents=True)
        try:
            yield building
            if building.exists():
                _place(job, building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def remove_leftovers(job: Job, parent: Path) -> None:
    """Delete what runs that were killed had begun to build in `parent`."""
    alive = {run.id for run in list_runs(job.workspace) if is_alive(run_folder(job.workspace, run))}
    for leftover in parent.glob(f"{_BUILDING}*"):
        if leftover.name.removeprefix(_BUILDING) not in alive - {job.run.id}:
            shutil.rmtree(leftover, ignore_errors=True)


def _place(job: Job, building: Path, target: Path) -> None:
    try:
        move_folder(building, target)
    except FileExistsError:
        raise RunConflict(
            f"{job.workspace.relative(target)} came into being meanwhile",
            details={"name": target.name},
            suggestion="Choose another name, and do it again.",
        ) from None
