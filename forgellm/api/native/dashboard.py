"""Figures for drawing: a run's whole history, and its measurements of this moment."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, SkipValidation
from typing_extensions import TypedDict

from forgellm.api.native.training import OfRun
from forgellm.api.native.wording import GPU_UTILIZATION, utc
from forgellm.api.routes import Answer, Query, Route
from forgellm.domain.errors import RunNotFound
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services import curves, runs
from forgellm.services.current import named_or_current
from forgellm.services.history import history


class Point(TypedDict):
    # Not a model: of a long run there are hundreds of thousands.
    iteration: int
    training_loss: float | None
    validation_loss: float | None
    general_validation_loss: float | None
    learning_rate: float | None
    tokens_per_second: float | None
    memory_usage_gb: float | None
    gradient_norm: float | None
    reward_margin: Annotated[float | None, Field(description="of preferences: chosen less rejected reward")]
    reward_accuracy: Annotated[
        float | None, Field(description="of preferences: share of pairs with a margin above 0")
    ]
    timestamp: str | None
    seq: Annotated[int, Field(description="number of the event that was measured last at this iteration")]


class Performance(BaseModel):
    avg_tokens_per_second: float | None
    peak_memory_gb: float | None
    training_stability: float | None = Field(description="0 to 1; 1 is a loss that follows its trend exactly")


class DashboardData(Answer):
    # Made of events that were checked as they were read.
    training_data: SkipValidation[list[Point]]
    best_checkpoints: list[int]
    training_config: dict[str, Any]
    performance_metrics: Performance
    training_id: str


class OfTraining(Query):
    training_dir: str | None = Field(
        None, description="folder, id or number of a run; the current one if left out"
    )
    points: int | None = Field(
        None, ge=10, le=10**6, description="about how many rows; all of them if left out"
    )


class CurrentMetrics(BaseModel):
    iteration: int = 0
    training_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    memory_usage_gb: float | None = None
    gpu_utilization: float | None = None
    timestamp: str = Field(description="when the run was last heard of; now where there is none")


class Realtime(Answer):
    current_metrics: CurrentMetrics
    is_training: bool
    training_id: str | None
    not_measured: dict[str, str] = Field(description="why a value is null everywhere")


def data(forge: Forge, query: OfTraining) -> DashboardData:
    """Every iteration of a run: losses, learning rate, speed and memory."""
    run = _existing(named_or_current(forge, query.training_dir))
    found = curves.curves(forge, run, points=query.points)
    return DashboardData(
        training_data=cast("list[Point]", found.rows),
        best_checkpoints=found.best_checkpoints,
        training_config=dict(found.spec),
        performance_metrics=Performance(
            avg_tokens_per_second=found.average_tokens_per_second,
            peak_memory_gb=found.peak_memory_gb,
            training_stability=found.stability,
        ),
        training_id=run.id,
    )


def realtime(forge: Forge, query: OfRun) -> Realtime:
    """The latest measurement of each kind, of the current training run or the one that is named."""
    run = named_or_current(forge, query.training_id)
    status = None if run is None else runs.status(forge, run)
    return Realtime(
        current_metrics=CurrentMetrics(timestamp=utc(forge.clock()))
        if run is None or status is None
        else CurrentMetrics(
            iteration=status.progress.iteration,
            training_loss=status.progress.training_loss,
            validation_loss=status.progress.validation_loss,
            learning_rate=status.progress.learning_rate,
            tokens_per_second=status.progress.tokens_per_second,
            memory_usage_gb=status.progress.memory_usage_gb,
            timestamp=utc(history(forge, run, status.progress).updated),
        ),
        is_training=status is not None and status.state.is_active,
        training_id=None if run is None else run.id,
        not_measured={"gpu_utilization": GPU_UTILIZATION},
    )


def _existing(run: Run | None) -> Run:
    if run is None:
        raise RunNotFound(
            "nothing was trained in this workspace yet",
            suggestion="POST /api/training/start starts a run; GET /api/runs lists them.",
        )
    return run


ROUTES = (
    Route("GET", "/api/dashboard/data", data),
    Route("GET", "/api/dashboard/realtime", realtime),
)
