"""The checkpoints of a run, and publishing one of them."""

from __future__ import annotations

import threading

from pydantic import BaseModel, Field

from forgellm.api.native.training import OfRun
from forgellm.api.native.wording import megabytes
from forgellm.api.routes import Answer, Body, Route
from forgellm.domain.checkpoints import Checkpoint, standard_error
from forgellm.domain.errors import InvalidField
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services import publishing, runs
from forgellm.services.current import named_or_current
from forgellm.storage.runs import find_run

_POLL_SECONDS = 0.1


class CheckpointItem(BaseModel):
    iteration: int
    path: str
    validation_loss: float | None
    general_validation_loss: float | None
    standard_error: float | None = Field(description="of the validation loss, over its sequences")
    rank: int | None
    is_best: bool
    tied_with_best: bool = Field(description="within one standard error of the best")
    size_mb: float
    problem: str | None = Field(description="why it has no rank")


class Checkpoints(Answer):
    checkpoints: list[CheckpointItem]
    best_checkpoints: list[int]
    training_id: str | None


class PublishCheckpoint(Body):
    checkpoint_path: str = Field(description="a path that GET /api/checkpoints lists")
    training_dir: str | None = Field(None, description="the folder of its run, which the path names already")
    name: str | None = Field(
        None, description="name of the published model; it has the time in it if left out"
    )


class PublishRun(Body):
    iteration: int | None = Field(None, ge=0, description="of the checkpoint; the best one if left out")
    name: str | None = Field(
        None, description="name of the published model; it has the time in it if left out"
    )


class PublishStarted(Answer):
    message: str
    training_id: str = Field(description="the publish run, whose live events say how far it is")


class Published(Answer):
    message: str
    published_model_path: str
    model_name: str
    dashboard_path: str
    readme_path: str
    training_id: str = Field(description="the publish run")
    iteration: int
    checkpoint_validation_loss: float | None
    published_validation_loss: float | None = Field(description="measured again on the published model")


def checkpoints(forge: Forge, query: OfRun) -> Checkpoints:
    """The checkpoints of the current training run, or of the one that is named, best first.

    Every file is compared with its hash; one that differs is listed with its problem and has no rank.
    """
    run = named_or_current(forge, query.training_id)
    found = runs.checkpoints(forge, run) if run is not None and run.kind.trains else []
    return Checkpoints(
        checkpoints=[checkpoint_item(c) for c in found],
        best_checkpoints=[c.iteration for c in found if c.rank is not None][:3],
        training_id=None if run is None else run.id,
    )


def checkpoint_item(checkpoint: Checkpoint) -> CheckpointItem:
    """A checkpoint under its documented names."""
    return CheckpointItem(
        iteration=checkpoint.iteration,
        path=checkpoint.path,
        validation_loss=checkpoint.validation_loss,
        general_validation_loss=checkpoint.general_validation_loss,
        standard_error=standard_error(checkpoint.sequence_losses),
        rank=checkpoint.rank,
        is_best=checkpoint.is_best,
        tied_with_best=checkpoint.tied_with_best,
        size_mb=megabytes(checkpoint.size_bytes),
        problem=checkpoint.problem,
    )


def publish_checkpoint(forge: Forge, body: PublishCheckpoint) -> Published:
    """Fuse a checkpoint into a model of its own. Answers once the published model is in its place."""
    source, iteration = publishing.checkpoint_at(forge, body.checkpoint_path)
    _check_belongs(forge, source, training_dir=body.training_dir)
    run = publishing.publish(forge, source, iteration=iteration, name=body.name)
    pause = threading.Event()

    def wait() -> None:
        pause.wait(_POLL_SECONDS)

    values = publishing.outcome(forge, run, wait=wait)
    named = {name: values[name] for name in Published.model_fields if name in values}
    return Published.model_validate(
        {**named, "message": "Checkpoint published successfully", "training_id": run.id}
    )


def publish_run(forge: Forge, run_id: str, body: PublishRun) -> PublishStarted:
    """Begin to fuse a checkpoint of a run into a model of its own; answers at once."""
    source = find_run(forge.workspace, run_id)
    run = publishing.publish(forge, source, iteration=body.iteration, name=body.name)
    return PublishStarted(message="Publishing has begun", training_id=run.id)


def _check_belongs(forge: Forge, source: Run, *, training_dir: str | None) -> None:
    if training_dir and find_run(forge.workspace, training_dir) != source:
        raise InvalidField(
            f"checkpoint_path lies in {source.folder}, not in training_dir",
            details={"field": "training_dir", "folder": source.folder},
            suggestion="Leave training_dir out, or give the checkpoint's own folder.",
        )


ROUTES = (
    Route("GET", "/api/checkpoints", checkpoints),
    Route("POST", "/api/training/publish_checkpoint", publish_checkpoint),
    Route("POST", "/api/runs/<run_id>/publish", publish_run),
)
