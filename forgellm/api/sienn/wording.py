"""Sienn-AI's words: ids of jobs and datasets, the status of a job, the codes of errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

from forgellm.domain.errors import (
    CheckpointNotFound,
    DatasetNotFound,
    ForgeError,
    InvalidDataset,
    InvalidPath,
    RunConflict,
    RunNotFound,
    UnsupportedExport,
)
from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.services.job_exports import ExportFailed
from forgellm.services.parts import Parts
from forgellm.storage.runs import find_run, run_folder

JOB, DATASET = "job_", "ds_"
Status = Literal["pending", "running", "completed", "failed"]
Given = ParamSpec("Given")
Result = TypeVar("Result")

_WORDS: Mapping[RunState, Status] = {
    RunState.PENDING: "pending",
    RunState.PAUSED: "pending",
    RunState.RUNNING: "running",
    RunState.STOPPING: "running",
    RunState.COMPLETED: "completed",
    RunState.EARLY_STOPPED: "completed",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "failed",
}


class DatasetInvalid(InvalidDataset):
    code = "DATASET_INVALID"


class JobNotFound(RunNotFound):
    code = "JOB_NOT_FOUND"


class TrainingFailed(RunConflict):
    """The job is not in a state that allows what was asked."""

    code = "TRAINING_FAILED"


_DOCUMENTED: Mapping[type[ForgeError], type[ForgeError]] = {
    InvalidDataset: DatasetInvalid,
    DatasetNotFound: DatasetInvalid,
    RunNotFound: JobNotFound,
    RunConflict: TrainingFailed,
}


_OF_EXPORTS: Mapping[type[ForgeError], type[ForgeError]] = {
    **_DOCUMENTED,
    RunConflict: ExportFailed,
    CheckpointNotFound: ExportFailed,
    UnsupportedExport: ExportFailed,
}


def documented(view: Callable[Given, Result]) -> Callable[Given, Result]:
    """The view, failing with the documented codes. The statuses stay."""
    return _coded(view, _DOCUMENTED)


def documented_export(view: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same for views that export: what cannot be exported is an export that failed."""
    return _coded(view, _OF_EXPORTS)


def _coded(
    view: Callable[Given, Result], codes: Mapping[type[ForgeError], type[ForgeError]]
) -> Callable[Given, Result]:
    @wraps(view)
    def answered(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return view(*args, **kwargs)
        except tuple(codes) as error:
            known = codes.get(type(error), type(error))
            same = known(error.message, details=error.details, suggestion=error.suggestion)
            same.status = error.status
            raise same from error

    return answered


def word(forge: Forge, run: Run, state: RunState) -> Status:
    """One of the four documented words. A job that was stopped by hand is completed where it has weights."""
    if state is RunState.STOPPED:
        return (
            "completed" if (run_folder(forge.workspace, run) / "adapters.safetensors").is_file() else "failed"
        )
    return _WORDS[state]


def job_id(run: Run) -> str:
    return f"{JOB}{run.id}"


def find_job(parts: Parts, key: str) -> Run:
    """The training run of a job. Raises RunNotFound."""
    try:
        run = find_run(parts.workspace, key.removeprefix(JOB))
        if run.kind.trains:
            return run
    except (RunNotFound, InvalidPath):
        pass
    raise RunNotFound(
        f"there is no job {key!r:.140}",
        details={"job_id": key[:140]},
        suggestion="GET /api/jobs lists the jobs with their ids.",
    )
