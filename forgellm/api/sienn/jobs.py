"""Fine-tuning as Sienn-AI documents it: jobs that are queued, and how each of them is."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.native.wording import percentage, utc
from forgellm.api.routes import Body, Query, Reply, Route
from forgellm.api.sienn.wording import DATASET, Status, documented, find_job, job_id, word
from forgellm.api.terms import Learning, instruction_run
from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.services import instructions, pace, runs, training
from forgellm.services.history import History, history
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder


class Config(Body):
    num_epochs: float = Field(3, gt=0, le=10_000)
    batch_size: int = Field(4, ge=1, le=4096)
    learning_rate: float = Field(2e-5, gt=0)
    max_length: int = Field(512, ge=8, description="no more than the model's context")
    lora_r: int = Field(32, ge=1, le=4096)
    lora_alpha: float = Field(64, gt=0, description="divided by lora_r, it is the factor on the product")
    target_modules: list[str] | None = Field(
        None, description="last names of modules; all linear ones if left out"
    )


class Start(Body):
    dataset_id: str | None = Field(None, description="of an upload; the newest dataset if left out")
    model_name: str = Field(description="a Hub id in the local cache, or a model of the workspace")
    config: Config = Field(default_factory=Config)


class Started(Reply):
    job_id: str
    status: Status
    message: str
    estimated_time: str | None = Field(
        description="once it begins, by how fast earlier runs were; null where none was like it"
    )
    created_at: str


class Metrics(BaseModel):
    train_loss: float | None
    eval_loss: float | None
    learning_rate: float | None


class JobStatus(Reply):
    job_id: str
    status: Status
    progress: float
    current_epoch: int | None
    total_epochs: int | None
    metrics: Metrics
    message: str
    started_at: str | None
    updated_at: str
    estimated_completion: str | None = Field(description="at the pace of the last iterations")


class Listed(Query):
    status: Literal["pending", "running", "completed", "failed"] | None = None
    limit: int = Field(50, ge=1, le=10_000)
    offset: int = Field(0, ge=0, le=10**9)


class Job(BaseModel):
    job_id: str
    status: Status
    model_name: str | None
    dataset_id: str | None
    progress: float
    created_at: str


class Jobs(Reply):
    jobs: list[Job]
    total: int
    limit: int
    offset: int


@documented
def start(forge: Forge, body: Start) -> Started:
    """Start a fine-tuning job, or queue it behind the one that trains."""
    named = None if body.dataset_id is None else body.dataset_id.removeprefix(DATASET)
    dataset = named or instructions.newest(forge)
    config = body.config
    wanted = Learning(
        epochs=config.num_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        length=config.max_length,
        rank=config.lora_r,
        alpha=config.lora_alpha,
        modules=config.target_modules,
    )
    spec = instruction_run(forge, model_name=body.model_name, dataset=dataset, wanted=wanted)
    run = training.start(forge, spec, queue=True)
    return Started(
        job_id=job_id(run),
        status=word(forge, run, state(run_folder(forge.workspace, run))),
        message=f"Fine-tuning job queued successfully on dataset {dataset}",
        estimated_time=_minutes(forge, run),
        created_at=utc(run.created),
    )


def _minutes(forge: Forge, run: Run) -> str | None:
    try:
        found = pace.expected(forge, run)
    except ForgeError:
        # The job has begun, whatever has become of its data since.
        return None
    if found is None:
        return None
    count = math.ceil(found.seconds / 60)
    return "1 minute" if count == 1 else f"{count} minutes"


@documented
def show(forge: Forge, job_id: str) -> JobStatus:
    """How a job is."""
    run = find_job(forge, job_id)
    return _status(forge, runs.status(forge, run))


def index(forge: Forge, query: Listed) -> Jobs:
    """The jobs, the newest first."""
    known = [run for run in reversed(list_runs(forge.workspace)) if run.kind.trains]
    if query.status is not None:
        known = [run for run in known if _word(forge, run) == query.status]
    page = known[query.offset : query.offset + query.limit]
    return Jobs(
        jobs=[_job(forge, runs.summary(forge, run)) for run in page],
        total=len(known),
        limit=query.limit,
        offset=query.offset,
    )


def counted(forge: Forge) -> dict[Status, int]:
    """How many jobs there are of each status."""
    words = [_word(forge, run) for run in list_runs(forge.workspace) if run.kind.trains]
    known: tuple[Status, ...] = ("pending", "running", "completed", "failed")
    return {status: words.count(status) for status in known}


def _word(forge: Forge, run: Run) -> Status:
    return word(forge, run, runs.summary(forge, run).state)


def _job(forge: Forge, found: runs.Summary) -> Job:
    run = found.run
    model, dataset = run.spec.get("model_name"), run.spec.get("dataset")
    return Job(
        job_id=job_id(run),
        status=word(forge, run, found.state),
        model_name=model if isinstance(model, str) else None,
        dataset_id=f"{DATASET}{dataset}" if isinstance(dataset, str) else None,
        progress=percentage(found.progress, found.state),
        created_at=utc(run.created),
    )


def _status(forge: Forge, found: runs.Status) -> JobStatus:
    progress, run = found.progress, found.run
    passes = history(forge, run, progress)
    left = progress.eta_seconds if found.state is RunState.RUNNING else None
    return JobStatus(
        job_id=job_id(run),
        status=word(forge, run, found.state),
        progress=percentage(progress, found.state),
        current_epoch=passes.epoch,
        total_epochs=passes.epochs,
        metrics=Metrics(
            train_loss=progress.training_loss,
            eval_loss=progress.validation_loss,
            learning_rate=progress.learning_rate,
        ),
        message=_message(found, passes),
        started_at=None if passes.started is None else utc(passes.started),
        updated_at=utc(passes.updated),
        estimated_completion=None if left is None else utc(forge.clock() + timedelta(seconds=left)),
    )


def _message(found: runs.Status, passes: History) -> str:
    if found.failure is not None:
        return str(found.failure.get("error"))
    if found.state is RunState.RUNNING and passes.epoch:
        return f"Training epoch {passes.epoch}/{passes.epochs}"
    if found.state is RunState.RUNNING:
        return f"Preparing: {found.progress.phase or 'starting'}"
    if found.state is RunState.PENDING:
        return "Queued"
    return f"{found.state.value.replace('_', ' ').capitalize()} at iteration {found.progress.iteration}"


ROUTES = (
    Route("POST", "/api/start-finetuning", start),
    Route("GET", "/api/training-status/<job_id>", show),
    Route("GET", "/api/jobs", index),
)
