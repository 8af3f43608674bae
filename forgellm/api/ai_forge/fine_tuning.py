"""Fine-tuning as AI Forge documents it: a project, its data, and a job that is queued."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import ClassVar

from pydantic import Field, RootModel

from forgellm.api.http import parse
from forgellm.api.json_text import read_object
from forgellm.api.native.wording import percentage
from forgellm.api.routes import Body, Query, Reply, Route
from forgellm.api.terms import Learning, instruction_run
from forgellm.api.uploads import Upload
from forgellm.domain.errors import ForgeError, InvalidField, InvalidPath, RunNotFound
from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import instructions, runs, training
from forgellm.services.dataset_removal import remove
from forgellm.services.history import history
from forgellm.services.ingestion import arrival, name_from
from forgellm.services.learnable import narrowest
from forgellm.services.marks import mark
from forgellm.services.projects import MARK, project_of
from forgellm.storage.liveness import state
from forgellm.storage.models import ModelFolder, find_model, is_quantized
from forgellm.storage.runs import find_run, list_runs, run_folder

_JOB = re.compile(r"job_(?:.*_)?(\d{8}_\d{6}(?:_\d+)?)")
_STATUS: Mapping[RunState, str] = {
    RunState.PENDING: "queued",
    RunState.RUNNING: "training",
    RunState.STOPPING: "training",
    RunState.EARLY_STOPPED: "completed",
    RunState.STOPPED: "cancelled",
    RunState.INTERRUPTED: "failed",
}


class FineTune(Body):
    project_name: str = Field(
        min_length=1, max_length=32, description="the model will be called project_name:custom"
    )
    base_model: str = Field(
        "unsloth/Llama-3.2-3B-Instruct", description="a Hub id in the local cache, or one of the workspace"
    )
    epochs: float = Field(3, gt=0, le=10_000)
    learning_rate: float = Field(0.0002, gt=0)
    rank: int = Field(64, ge=1, le=4096)
    use_pissa: bool = Field(
        True, description="the factors begin at the largest singular values of each matrix"
    )


class FineTuneForm(Query):
    file_parts: ClassVar[tuple[str, ...]] = ("data_file",)

    request: str = Field(description="the fields as JSON")


class Queued(Reply):
    job_id: str
    status: str
    message: str


class JobStatus(Reply):
    job_id: str
    status: str = Field(description="queued, training, paused, completed, failed, cancelled")
    progress: float
    current_epoch: int | None
    current_step: int
    loss: float | None
    created_at: str
    updated_at: str


class JobList(RootModel[list[JobStatus]], Reply):
    """An array."""


def start(forge: Forge, upload: Upload[FineTuneForm] | None = None, body: FineTune | None = None) -> Queued:
    """Start a fine-tuning job, or queue it behind the one that trains. A form brings its data in `data_file`;
    without it the newest dataset of instructions is learned."""
    dataset = None
    if upload is not None:
        with arrival(forge, needed_bytes=upload.announced_bytes) as files:
            body = parse(FineTune, read_object(upload.receive(files.create).request.encode()))
            # Nothing is kept for a job that cannot begin.
            _initial(forge, body)
            name = name_from(f"{body.project_name}_{forge.clock():%Y%m%d_%H%M%S}")
            # The same project may be started twice within the second.
            dataset = files.keep_beside(name, source={"kind": "upload", "files": [files.only]})
    assert body is not None
    try:
        run, taken = _begin(forge, body, dataset)
    except ForgeError:
        if dataset is not None:
            # Or it would be the newest, which later jobs learn from.
            remove(forge, dataset)
        raise
    mark(forge, run, {MARK: body.project_name})
    message = f"Fine-tuning job queued on dataset {taken}"
    return Queued(job_id=_job_id(forge, run), status=_status(forge, run), message=message)


def _begin(forge: Forge, body: FineTune, dataset: str | None) -> tuple[Run, str]:
    """The run, and the dataset it learns."""
    taken = dataset or instructions.newest(forge)
    spec = instruction_run(
        forge,
        model_name=body.base_model,
        dataset=taken,
        wanted=Learning(epochs=body.epochs, learning_rate=body.learning_rate, rank=body.rank),
        lora_init=_initial(forge, body),
    )
    return training.start(forge, spec, queue=True), taken


def _initial(forge: Forge, body: FineTune) -> str:
    """How the factors begin. What the base does not take is refused by name where it was asked for, and left
    out where it is only the default. Raises InvalidField and what finding the model raises."""
    base = find_model(forge.workspace, forge.hub_cache, body.base_model)
    reason = _no_pissa(base, body.rank)
    if not body.use_pissa or reason is None:
        return "pissa" if body.use_pissa else "default"
    if "use_pissa" in body.model_fields_set:
        raise InvalidField(
            f"use_pissa is not possible here: {base.name} {reason}",
            details={"field": "use_pissa", "model": base.name},
            suggestion="Leave use_pissa out, name the whole model that it was made from, or lower rank.",
        )
    return "default"


def _no_pissa(base: ModelFolder, rank: int) -> str | None:
    if is_quantized(base.config):
        return "is quantized, and it needs whole weights"
    name, most = narrowest(base) or ("", rank)
    return f"has only {most} singular values in {name}, and rank is {rank}" if rank > most else None


def index(forge: Forge) -> JobList:
    """Every training run, the newest first."""
    known = [run for run in reversed(list_runs(forge.workspace)) if run.kind.trains]
    return JobList([_job(forge, run) for run in known])


def show(forge: Forge, job_id: str) -> JobStatus:
    """One of them."""
    return _job(forge, _found(forge, job_id))


def cancel(forge: Forge, job_id: str) -> Queued:
    """End a job, whether it runs or waits; one that runs saves a checkpoint first."""
    run = _found(forge, job_id)
    launcher.stop(forge.workspace, run)
    return Queued(
        job_id=_job_id(forge, run), status=_status(forge, run), message="Fine-tuning job is cancelled"
    )


def _job_id(forge: Forge, run: Run) -> str:
    project = re.sub(r"[^A-Za-z0-9-]+", "_", project_of(forge, run) or run.kind.value).strip("_")
    return f"job_{project}_{run.id.partition('_')[2]}"


def _found(forge: Forge, key: str) -> Run:
    """By what the id ends with, since the name in it may be changed."""
    named = _JOB.fullmatch(key)
    found = []
    for identity in [f"ift_{named[1]}", f"cpt_{named[1]}"] if named else [key]:
        with suppress(RunNotFound, InvalidPath):
            found.append(find_run(forge.workspace, identity))
    jobs = sorted((run for run in found if run.kind.trains), key=lambda run: _job_id(forge, run) != key)
    if jobs:
        return jobs[0]
    raise RunNotFound(
        f"there is no job {key!r:.140}",
        details={"job_id": key[:140]},
        suggestion="GET /v1/fine-tune lists the jobs with their ids.",
    )


def _status(forge: Forge, run: Run) -> str:
    now = state(run_folder(forge.workspace, run))
    return _STATUS.get(now, now.value)


def _job(forge: Forge, run: Run) -> JobStatus:
    found = runs.summary(forge, run)
    passes = history(forge, run, found.progress)
    return JobStatus(
        job_id=_job_id(forge, run),
        status=_STATUS.get(found.state, found.state.value),
        progress=percentage(found.progress, found.state),
        current_epoch=passes.epoch,
        current_step=found.progress.iteration,
        loss=found.progress.training_loss,
        created_at=_naive(run.created),
        updated_at=_naive(passes.updated),
    )


def _naive(moment: datetime) -> str:
    """`2026-01-16T12:34:56`: UTC, without saying so."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds")


ROUTES = (
    Route("POST", "/v1/fine-tune", start),
    Route("GET", "/v1/fine-tune", index),
    Route("GET", "/v1/fine-tune/<job_id>", show),
    Route("DELETE", "/v1/fine-tune/<job_id>", cancel),
)
