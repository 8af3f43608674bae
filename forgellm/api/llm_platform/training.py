"""Training jobs as LLM Platform documents them: runs under their numbers, queued, paused and resumed."""

from __future__ import annotations

from pydantic import BaseModel, Field

from forgellm.api.llm_platform.wording import naive, state_word
from forgellm.api.native.wording import percentage
from forgellm.api.routes import Body, Reply, Route
from forgellm.api.terms import Learning, alpha_of, instruction_run, number, whole
from forgellm.api.waiting import LOOKS, between_looks
from forgellm.domain.errors import RunNotFound
from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import instructions, numbered, runs, training
from forgellm.services.history import history
from forgellm.services.marks import mark, marked_number
from forgellm.services.numbered import NumberedModel
from forgellm.services.run_story import story
from forgellm.services.settling import settled
from forgellm.storage.labels import read_label
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder


class NewJob(Body):
    model_id: int = Field(ge=0, le=10**15, description="an id of GET /api/models")
    job_name: str = Field("Training", max_length=100)
    epochs: float = Field(3, gt=0, le=10_000)
    learning_rate: float = Field(1e-4, gt=0)
    batch_size: int = Field(8, ge=1, le=4096)
    lora_r: int = Field(8, ge=1, le=4096)
    lora_alpha: float = Field(32, gt=0, description="divided by lora_r, it is the factor on the product")
    lora_dropout: float = Field(0.05, ge=0, le=0.9)
    dataset: str | None = Field(
        None, description="a dataset's name; the newest one of instructions if left out"
    )


class Created(Reply):
    id: int
    job_name: str
    model_id: int
    status: str
    message: str


class Job(BaseModel):
    id: int
    model_id: int
    job_name: str
    status: str
    progress: float
    epochs: int | float | None
    current_epoch: int | None
    learning_rate: float | None
    batch_size: int | None
    created_at: str
    started_at: str | None
    completed_at: str | None


class Jobs(Reply):
    training_jobs: list[Job]


class JobDetails(Reply, Job):
    lora_r: int | None
    lora_alpha: int | float | None
    lora_dropout: float | None
    current_loss: float | None
    logs: str


class Told(Reply):
    id: int
    status: str
    message: str


def index(forge: Forge) -> Jobs:
    """Every training run, the newest first."""
    known = [run for run in reversed(list_runs(forge.workspace)) if run.kind.trains]
    return Jobs(training_jobs=[_job(forge, runs.summary(forge, run)) for run in known])


def create(forge: Forge, body: NewJob) -> Created:
    """Start a training job on the newest dataset of instructions, or queue it behind the one that trains."""
    model = numbered.find_numbered(forge, body.model_id)
    named = None if body.dataset is None else instructions.uploaded(forge, body.dataset)
    dataset = named or instructions.newest(forge)
    run = training.start(forge, _spec(forge, body, model, dataset=dataset), queue=True)
    mark(forge, run, {"model": model.id}, name=body.job_name)
    now = state(run_folder(forge.workspace, run))
    return Created(
        id=run.number,
        job_name=body.job_name,
        model_id=model.id,
        status=state_word(now),
        message=f"Training job created and started successfully on dataset {dataset}"
        if now is not RunState.PENDING
        else f"Training job created on dataset {dataset}; it waits for the one that trains",
    )


def show(forge: Forge, job_id: int) -> JobDetails:
    """One of them, with what happened so far."""
    run = _found(forge, job_id)
    found = runs.summary(forge, run)
    spec = dict(run.spec)
    values = {
        **_job(forge, found).model_dump(),
        "lora_r": spec.get("lora_rank"),
        "lora_alpha": whole(alpha_of(spec)),
        "lora_dropout": spec.get("lora_dropout"),
        "current_loss": found.progress.training_loss,
        "logs": story(forge, run),
    }
    return JobDetails.model_validate(values)


def pause(forge: Forge, job_id: int) -> Told:
    """Let a job save its exact state and end its process. 409 where it does not run."""
    run = _found(forge, job_id)
    launcher.pause(forge.workspace, run)
    now = settled(forge, run, wait=between_looks(), looks=LOOKS)
    done = now is RunState.PAUSED
    message = "Training job paused successfully" if done else f"Training job is {now.value}"
    return Told(id=run.number, status=state_word(now), message=message)


def resume(forge: Forge, job_id: int) -> Told:
    """Go on exactly where it was paused. 409 while another run trains."""
    run = _found(forge, job_id)
    training.resume(forge, run)
    now = state(run_folder(forge.workspace, run))
    return Told(id=run.number, status=state_word(now), message="Training job resumed successfully")


def _found(forge: Forge, number: int) -> Run:
    run = next((run for run in list_runs(forge.workspace) if run.number == number and run.kind.trains), None)
    if run is None:
        raise RunNotFound(
            f"there is no training job {number}",
            details={"job_id": number},
            suggestion="GET /api/training lists the jobs with their ids.",
        )
    return run


def _spec(forge: Forge, body: NewJob, model: NumberedModel, *, dataset: str) -> dict[str, object]:
    """A trained model goes on learning, in its adapter's form unless the request says otherwise."""
    goes_on = model.kind == "trained"
    said = body.model_fields_set if goes_on else {"lora_r", "lora_alpha", "lora_dropout"}
    wanted = Learning(
        epochs=body.epochs,
        batch_size=body.batch_size,
        learning_rate=body.learning_rate,
        rank=body.lora_r if "lora_r" in said else None,
        alpha=body.lora_alpha if "lora_alpha" in said else None,
        dropout=body.lora_dropout if "lora_dropout" in said else None,
    )
    name = model.base_model if goes_on else model.asked_for
    start = {"start_from": model.asked_for} if goes_on else {}
    return instruction_run(forge, model_name=name, dataset=dataset, wanted=wanted, **start)


def _job(forge: Forge, found: runs.Summary) -> Job:
    run, spec = found.run, found.run.spec
    passes = history(forge, run, found.progress)
    marked = marked_number(forge, run, "model")
    label = read_label(run_folder(forge.workspace, run))
    return Job.model_validate(
        {
            "id": run.number,
            "model_id": marked or numbered.number_of(str(spec.get("model_name"))),
            "job_name": label.name or run.id,
            "status": state_word(found.state),
            "progress": percentage(found.progress, found.state),
            "epochs": whole(number(spec.get("epochs"))) or passes.epochs,
            "current_epoch": passes.epoch,
            "learning_rate": number(spec.get("learning_rate")),
            "batch_size": number(spec.get("batch_size")),
            "created_at": naive(run.created),
            "started_at": None if passes.started is None else naive(passes.started),
            "completed_at": None if passes.ended is None else naive(passes.ended),
        }
    )


ROUTES = (
    Route("GET", "/api/training", index),
    Route("POST", "/api/training", create),
    Route("GET", "/api/training/<number:job_id>", show),
    Route("POST", "/api/training/<number:job_id>/pause", pause),
    Route("POST", "/api/training/<number:job_id>/resume", resume),
)
