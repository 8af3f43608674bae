"""Health and statistics as LLM Platform documents them."""

from __future__ import annotations

from typing import Literal

from forgellm.api.llm_platform.wording import naive
from forgellm.api.routes import Reply, Route
from forgellm.domain.runs import RunKind, RunState
from forgellm.forge import Forge
from forgellm.services import numbered, runs
from forgellm.storage.generations import generations
from forgellm.storage.runs import list_runs


class Health(Reply):
    status: Literal["healthy"] = "healthy"
    timestamp: str
    version: Literal["1.0.0"] = "1.0.0"


class Statistics(Reply):
    total_models: int
    total_training_jobs: int
    running_training_jobs: int
    completed_training_jobs: int
    total_evaluations: int
    total_generations: int
    timestamp: str


def health(forge: Forge) -> Health:
    """That the server answers."""
    return Health(timestamp=naive(forge.clock()))


def statistics(forge: Forge) -> Statistics:
    """How many models, jobs, evaluations and generated texts there are."""
    known = list_runs(forge.workspace)
    states = [runs.summary(forge, run).state for run in known if run.kind.trains]
    return Statistics(
        total_models=len(numbered.numbered_models(forge)),
        total_training_jobs=len(states),
        running_training_jobs=sum(s in (RunState.RUNNING, RunState.STOPPING) for s in states),
        completed_training_jobs=sum(s in (RunState.COMPLETED, RunState.EARLY_STOPPED) for s in states),
        total_evaluations=sum(run.kind is RunKind.EVALUATE for run in known),
        total_generations=generations(forge.workspace),
        timestamp=naive(forge.clock()),
    )


ROUTES = (
    Route("GET", "/api/health", health),
    Route("GET", "/api/statistics", statistics),
)
