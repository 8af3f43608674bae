"""GET /api/health."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from forgellm import __version__
from forgellm.api.native.wording import gigabytes
from forgellm.api.routes import Answer, Route
from forgellm.forge import Forge
from forgellm.services import health as service


class Components(BaseModel):
    web_server: Literal["running"] = "running"
    model_server: Literal["not running"] = Field(
        "not running", description="this version has none: it serves training, not generation"
    )
    training_pipeline: Literal["idle", "running"]


class SystemInfo(BaseModel):
    memory_total_gb: float
    memory_available_gb: float
    disk_free_gb: float | None
    python_version: str
    mlx_version: str | None
    forgellm_version: str


class Health(Answer):
    status: Literal["healthy", "no workspace"] = "healthy"
    components: Components
    system_info: SystemInfo
    training_id: str | None = Field(description="the run that trains")


def health(forge: Forge) -> Health:
    """Whether the servers run, and the memory and disk that are left."""
    found = service.health(forge)
    return Health(
        status="healthy" if found.disk_free is not None else "no workspace",
        components=Components(training_pipeline="running" if found.training_run else "idle"),
        system_info=SystemInfo(
            memory_total_gb=gigabytes(found.memory_total),
            memory_available_gb=gigabytes(found.memory_available),
            disk_free_gb=None if found.disk_free is None else gigabytes(found.disk_free),
            python_version=found.python_version,
            mlx_version=found.mlx_version,
            forgellm_version=__version__,
        ),
        training_id=found.training_run,
    )


ROUTES = (Route("GET", "/api/health", health),)
