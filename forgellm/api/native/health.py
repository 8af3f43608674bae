"""GET /api/health."""

from __future__ import annotations

import signal
from typing import Literal

from pydantic import BaseModel, Field

from forgellm import __version__
from forgellm.api.native.wording import gigabytes, utc
from forgellm.api.routes import Answer
from forgellm.forge import Forge
from forgellm.services import health as service
from forgellm.services.health import ModelServerState
from forgellm.services.parts import Parts
from forgellm.storage.model_server import Crash


class Components(BaseModel):
    web_server: Literal["running"] | None = Field(description="null where the model server was asked")
    model_server: ModelServerState
    training_pipeline: Literal["idle", "running"]


class SystemInfo(BaseModel):
    memory_total_gb: float
    memory_available_gb: float
    disk_free_gb: float | None
    python_version: str
    mlx_version: str | None
    forgellm_version: str


class ModelServerCrash(BaseModel):
    """The last time that the model server ended without being told to."""

    time: str
    signal: int | None
    signal_name: str | None
    exit_code: int | None
    given_up: bool = Field(description="it crashed too often, and is not started again")


class Health(Answer):
    status: Literal["healthy", "no workspace"] = "healthy"
    components: Components
    system_info: SystemInfo
    training_id: str | None = Field(description="the run that trains")
    model_server_url: str | None = Field(description="where the model server of this workspace listens")
    model_server_crash: ModelServerCrash | None = Field(
        description="the last one since `forgellm start`, though it may run again"
    )


def health(forge: Forge) -> Health:
    """Whether the servers run, and the memory and disk that are left."""
    return measured(forge, web_server="running")


def measured(
    parts: Parts, *, web_server: Literal["running"] | None, model_server: ModelServerState | None = None
) -> Health:
    """The health of everything. A server knows of itself that it runs."""
    found = service.health(parts)
    return Health(
        status="healthy" if found.disk_free is not None else "no workspace",
        components=Components(
            web_server=web_server,
            model_server=model_server or found.model_server_state,
            training_pipeline="running" if found.training_run else "idle",
        ),
        system_info=SystemInfo(
            memory_total_gb=gigabytes(found.memory_total),
            memory_available_gb=gigabytes(found.memory_available),
            disk_free_gb=None if found.disk_free is None else gigabytes(found.disk_free),
            python_version=found.python_version,
            mlx_version=found.mlx_version,
            forgellm_version=__version__,
        ),
        training_id=found.training_run,
        model_server_url=found.model_server,
        model_server_crash=_crash(found.crash) if found.crash else None,
    )


def _crash(crash: Crash) -> ModelServerCrash:
    return ModelServerCrash(
        time=utc(crash.time),
        signal=crash.signal,
        signal_name=signal.Signals(crash.signal).name if crash.signal in list(signal.Signals) else None,
        exit_code=crash.exit_code,
        given_up=crash.given_up,
    )
