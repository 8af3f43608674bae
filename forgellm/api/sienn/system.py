"""Health and counts as Sienn-AI documents them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from forgellm.api.native.wording import utc
from forgellm.api.routes import Reply, Route
from forgellm.api.sienn.jobs import counted
from forgellm.forge import Forge
from forgellm.services.load import load
from forgellm.services.models import catalogue
from forgellm.storage.datasets import list_datasets

_UNUSED = "not used"
"""Runs are folders with a queue of their own: there is neither a database nor a Redis."""


class Health(Reply):
    status: Literal["healthy"] = "healthy"
    timestamp: str


class Services(BaseModel):
    database: str = _UNUSED
    redis: str = _UNUSED
    storage: Literal["available", "unavailable"]


class System(BaseModel):
    cpu_percent: float
    memory_percent: float
    disk_usage: float | None


class DetailedHealth(Reply):
    status: Literal["healthy", "unhealthy"]
    services: Services
    system: System


class Metrics(Reply):
    total_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    total_datasets: int
    total_models: int


def health(forge: Forge) -> Health:
    """That the server answers."""
    return Health(timestamp=utc(forge.clock()))


def detailed(forge: Forge) -> DetailedHealth:
    """How busy the machine is, and whether the workspace is there."""
    now = load(forge)
    there = now.disk is not None
    return DetailedHealth(
        status="healthy" if there else "unhealthy",
        services=Services(storage="available" if there else "unavailable"),
        system=System(cpu_percent=now.cpu, memory_percent=now.memory, disk_usage=now.disk),
    )


def metrics(forge: Forge) -> Metrics:
    """How many jobs, datasets and trained models there are."""
    jobs, models = counted(forge), catalogue(forge)
    return Metrics(
        total_jobs=sum(jobs.values()),
        active_jobs=jobs["pending"] + jobs["running"],
        completed_jobs=jobs["completed"],
        failed_jobs=jobs["failed"],
        total_datasets=len(list_datasets(forge.workspace)),
        total_models=len(models.cpt) + len(models.ift) + len(models.published),
    )


ROUTES = (
    Route("GET", "/health", health),
    Route("GET", "/api/health/detailed", detailed),
    Route("GET", "/api/metrics", metrics),
)
