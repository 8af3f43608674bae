"""Training as ModelForge documents it: one job at a time, of which there is a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from forgellm.api.errors import NotImplementedHere
from forgellm.api.native.training import STOPPABLE
from forgellm.api.native.wording import percentage
from forgellm.api.routes import Body, Reply, Route
from forgellm.api.terms import Learning, instruction_run
from forgellm.api.waiting import LOOKS, between_looks
from forgellm.data.shapes import Shape
from forgellm.domain.errors import InvalidField
from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import instructions, runs, training
from forgellm.services.current import chosen, current
from forgellm.services.history import history
from forgellm.services.marks import mark
from forgellm.services.settling import settled
from forgellm.storage.models import find_model, is_quantized

STRATEGIES = ("sft", "qlora", "rlhf", "dpo")
TASKS: Mapping[str, tuple[Shape, ...]] = {
    "text-generation": instructions.INSTRUCTIONS,
    "summarization": ("document_summary",),
    "extractive-question-answering": ("question_answer",),
}
"""The shapes of rows that each task learns from."""

_STATUS = {RunState.PENDING: "queued", RunState.RUNNING: "training", RunState.EARLY_STOPPED: "completed"}


class Start(Body):
    task: Literal["text-generation", "summarization", "extractive-question-answering"] = "text-generation"
    model_name: str = Field(description="a Hub id in the local cache, or a model of the workspace")
    provider: str = Field("huggingface", max_length=30, description="kept as a label; the engine is the same")
    strategy: Literal["sft", "qlora", "rlhf", "dpo"] = "sft"
    dataset: str | None = Field(
        None, description="a filename of GET /api/datasets, or a dataset's name; the newest if left out"
    )
    max_seq_length: int | None = Field(None, ge=8, description="no more than the model's context")
    num_train_epochs: float = Field(3, gt=0, le=10_000)
    per_device_train_batch_size: int = Field(4, ge=1, le=4096)
    gradient_accumulation_steps: int = Field(1, ge=1, le=4096)
    learning_rate: float = Field(2e-4, gt=0)
    warmup_steps: int = Field(0, ge=0, le=10**9)
    weight_decay: float = Field(0.01, ge=0, le=1)
    lora_r: int = Field(16, ge=1, le=4096)
    lora_alpha: float = Field(32, gt=0)
    lora_dropout: float = Field(0.0, ge=0, le=0.9)
    target_modules: list[str] | None = Field(
        None, description="last names of modules; all linear ones if null"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1)


class Started(Reply):
    status: Literal["started"] = "started"
    job_id: str
    message: str


class Status(Reply):
    status: str = Field(description="idle, queued, training, stopping, paused, completed, stopped, failed …")
    progress: float = 0.0
    current_epoch: int | None = None
    total_epochs: int | None = None
    current_step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None


class Stopped(Reply):
    status: str
    message: str


def start(forge: Forge, body: Start) -> Started:
    """Start a training job. 409 while another run trains."""
    _check_strategy(forge, body)
    dataset = _dataset(forge, body)
    run = training.start(forge, _spec(forge, body, dataset))
    mark(forge, run, {"provider": body.provider, "strategy": body.strategy, "task": body.task})
    return Started(
        job_id=f"train_{run.number}", message=f"Training started successfully on dataset {dataset}"
    )


def status(forge: Forge) -> Status:
    """How the current training job is."""
    run = current(forge)
    return Status(status="idle") if run is None else _status(forge, run)


def stop(forge: Forge) -> Stopped:
    """Stop the current training job; it saves a checkpoint first. 409 where none trains."""
    run = chosen(forge, None, states=STOPPABLE, verb="stop")
    launcher.stop(forge.workspace, run)
    state = settled(forge, run, wait=between_looks(), looks=LOOKS)
    over = state not in (RunState.RUNNING, RunState.STOPPING)
    message = "Training stopped successfully" if over else "Training is stopping"
    return Stopped(status="stopped" if over else "stopping", message=message)


def _status(forge: Forge, run: Run) -> Status:
    found = runs.status(forge, run)
    progress = found.progress
    passes = history(forge, run, progress)
    return Status(
        status=_STATUS.get(found.state, found.state.value),
        progress=percentage(progress, found.state),
        current_epoch=passes.epoch,
        total_epochs=passes.epochs,
        current_step=progress.iteration,
        total_steps=progress.total_iterations,
        loss=progress.training_loss,
        learning_rate=progress.learning_rate,
    )


def _spec(forge: Forge, body: Start, dataset: str) -> dict[str, object]:
    wanted = Learning(
        epochs=body.num_train_epochs,
        batch_size=body.per_device_train_batch_size,
        learning_rate=body.learning_rate,
        length=body.max_seq_length,
        rank=body.lora_r,
        alpha=body.lora_alpha,
        dropout=body.lora_dropout,
        modules=body.target_modules,
    )
    return instruction_run(
        forge,
        model_name=body.model_name,
        dataset=dataset,
        wanted=wanted,
        grad_accumulation_steps=body.gradient_accumulation_steps,
        warmup_steps=body.warmup_steps,
        weight_decay=body.weight_decay,
        seed=body.seed,
        objective="dpo" if body.strategy == "dpo" else "likelihood",
    )


def _dataset(forge: Forge, body: Start) -> str:
    """The dataset that is named, else the newest; its rows have to be of the task, or preferences for dpo."""
    prefers = body.strategy == "dpo"
    if body.dataset is not None:
        dataset = instructions.uploaded(forge, body.dataset)
    else:
        dataset = instructions.newest_preferences(forge) if prefers else instructions.newest(forge)
    shapes: tuple[Shape, ...] = ("preference",) if prefers else TASKS[body.task]
    instructions.check_shape(forge, dataset, shapes, task=body.strategy if prefers else body.task)
    return dataset


def _check_strategy(forge: Forge, body: Start) -> None:
    if body.strategy == "rlhf":
        raise NotImplementedHere(
            "strategy rlhf is not implemented: it needs a reward model and sampling during training",
            details={"field": "strategy"},
            suggestion="Use sft on good answers; dpo learns from preferences without a reward model.",
        )
    base = find_model(forge.workspace, forge.hub_cache, body.model_name)
    if body.strategy == "qlora" and not is_quantized(base.config):
        raise InvalidField(
            f"strategy qlora trains on a quantized base, and {body.model_name} is not quantized",
            details={"field": "strategy"},
            suggestion="Name a quantized model, such as one of mlx-community ending in 4bit, or use sft.",
        )


ROUTES = (
    Route("POST", "/api/start_training", start),
    Route("GET", "/api/training_status", status),
    Route("POST", "/api/stop_training", stop),
)
