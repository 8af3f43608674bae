"""Starting, watching, pausing, resuming and stopping training. A start's body has the fields of the spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, create_model

from forgellm.api.native.wording import iterations, minutes, percentage
from forgellm.api.routes import Answer, Body, Query, Route
from forgellm.domain.runs import Run, RunState
from forgellm.domain.spec import TrainingSpec, field_type, fields
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import runs, samples, training
from forgellm.services.current import chosen, named_or_current
from forgellm.services.runs import Status

STOPPABLE = frozenset({RunState.RUNNING, RunState.STOPPING, RunState.PENDING})
_PAUSABLE = frozenset({RunState.RUNNING, RunState.STOPPING})
_RESUMABLE = frozenset(state for state in RunState if state.can_resume)


def _field(name: str) -> Any:
    """(type, pydantic field) of one field of the spec, with its bounds."""
    field, (kind, optional, many) = fields()[name], field_type(name)
    # The run that another one starts from has the model already.
    optional = optional or name == "model_name"
    default = getattr(TrainingSpec, name, None if optional else ...)
    hint: Any = Literal[field.choices] if field.choices else kind
    if field.longest is not None:
        hint = Annotated[str, StringConstraints(max_length=field.longest)]
    hint = list[hint] if many else hint
    return (
        hint | None if optional else hint,
        Field(
            list(default) if isinstance(default, tuple) else default,
            description=f"{field.help}. Typical: {field.typical}" if field.typical else field.help,
            ge=field.minimum,
            le=field.maximum,
            gt=field.above,
            max_length=field.most,
        ),
    )


SpecBody: Any = create_model("SpecBody", __base__=Body, **{name: _field(name) for name in fields()})


class StartTraining(SpecBody):
    queue: bool = Field(False, description="wait for the run that trains instead of being refused")


class TrainingStarted(Answer):
    message: str
    training_id: str
    output_dir: str
    state: str
    notes: list[str] = Field(description="what was decided because the request left it open")


class TrainingStatus(Answer):
    is_training: bool = False
    training_type: str | None = None
    current_iteration: int = 0
    max_iterations: int | None = None
    progress_percentage: float = 0.0
    current_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    memory_usage_gb: float | None = None
    eta_minutes: int | None = None
    eta_seconds: float | None = None
    output_dir: str | None = None
    training_id: str | None = None
    state: str | None = None
    phase: str | None = None
    validation_loss: float | None = None
    failure: dict[str, Any] | None = Field(
        None, description="code, error and suggestion of a run that failed"
    )


class TrainingId(Body):
    training_id: str | None = Field(None, description="id or number of a run; the current one if left out")


class OfRun(Query):
    training_id: str | None = Field(None, description="id or number of a run; the current one if left out")


class TrainingTold(Answer):
    message: str
    training_id: str
    state: str


def start(forge: Forge, body: StartTraining) -> TrainingStarted:
    """Start a training run (CPT or IFT), or queue it. 409 while another one trains."""
    wish = body.model_dump(exclude_unset=True, exclude={"queue"})
    run = training.start(forge, wish, queue=body.queue)
    state = runs.status(forge, run).state
    queued = state is RunState.PENDING
    return TrainingStarted(
        message="Training is queued" if queued else "Training started successfully",
        training_id=run.id,
        output_dir=run.folder,
        state=state.value,
        notes=_notes(run, body),
    )


def status(forge: Forge, query: OfRun) -> TrainingStatus:
    """How the current training run is, or the one that is named."""
    run = named_or_current(forge, query.training_id)
    return TrainingStatus() if run is None else training_status(runs.status(forge, run))


def training_status(status: Status) -> TrainingStatus:
    """The documented keys of a run's status, and more."""
    run, progress = status.run, status.progress
    return TrainingStatus(
        is_training=status.state.is_active,
        training_type=run.kind.value,
        current_iteration=progress.iteration,
        max_iterations=iterations(run, progress),
        progress_percentage=percentage(progress, status.state),
        current_loss=progress.training_loss,
        learning_rate=progress.learning_rate,
        tokens_per_second=progress.tokens_per_second,
        memory_usage_gb=progress.memory_usage_gb,
        eta_minutes=minutes(progress.eta_seconds),
        eta_seconds=progress.eta_seconds,
        output_dir=run.folder,
        training_id=run.id,
        state=status.state.value,
        phase=progress.phase,
        validation_loss=progress.validation_loss,
        failure=dict(status.failure) if status.failure else None,
    )


def stop(forge: Forge, body: TrainingId) -> TrainingTold:
    """End the current training run, or the one that is named, with a checkpoint; it can be resumed."""
    run = chosen(forge, body.training_id, states=STOPPABLE, verb="stop")
    launcher.stop(forge.workspace, run)
    return _told(forge, run, "Training stopped successfully", "Training is stopping")


def pause(forge: Forge, body: TrainingId) -> TrainingTold:
    """Let a training run save its exact state and end its process; `resume` goes on from there."""
    run = chosen(forge, body.training_id, states=_PAUSABLE, verb="pause")
    launcher.pause(forge.workspace, run)
    return _told(forge, run, "Training paused successfully", "Training is pausing")


def resume(forge: Forge, body: TrainingId) -> TrainingTold:
    """Go on with a paused, stopped, failed or interrupted run. 409 while another one trains."""
    run = chosen(forge, body.training_id, states=_RESUMABLE, verb="resume")
    training.resume(forge, run)
    return _told(forge, run, "Training resumed successfully", "Training resumed successfully")


def _notes(run: Run, body: StartTraining) -> list[str]:
    general = run.spec.get("general_dataset")
    if body.model_dump(exclude_unset=True).get("general_dataset") or general is None:
        return []
    if general == samples.GENERAL:
        return [
            f"no general_dataset was named and there is no dataset/general: the sample {general} is mixed in"
        ]
    return [f"no general_dataset was named: dataset/{general} is mixed in"]


def _told(forge: Forge, run: Run, done: str, going_on: str) -> TrainingTold:
    state = runs.status(forge, run).state
    message = going_on if state in (RunState.RUNNING, RunState.STOPPING) else done
    return TrainingTold(message=message, training_id=run.id, state=state.value)


ROUTES = (
    Route("POST", "/api/training/start", start),
    Route("GET", "/api/training/status", status),
    Route("POST", "/api/training/stop", stop),
    Route("POST", "/api/training/pause", pause),
    Route("POST", "/api/training/resume", resume),
)
