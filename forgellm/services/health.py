"""Whether the parts of the product work at this moment, and what the machine has left."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import psutil

from forgellm.services.current import current
from forgellm.services.parts import Parts
from forgellm.storage.files import is_held
from forgellm.storage.model_server import Crash, read_crash, read_record, running_at

ModelServerState = Literal["running", "not running", "crashed"]


@dataclass(frozen=True)
class Health:
    """Sizes in bytes; `disk_free` is None where the workspace has gone. `training_run` is the id of the run
    that trains, None while the pipeline is idle. `model_server` is its address, None where none runs; `crash`
    the last one of it that is known, and `cut_off` says that it has not ended as it was told to.
    """

    training_run: str | None
    model_server: str | None
    crash: Crash | None
    cut_off: bool
    memory_total: int
    memory_available: int
    disk_free: int | None
    python_version: str
    mlx_version: str | None

    @property
    def model_server_state(self) -> ModelServerState:
        if self.model_server is not None:
            return "running"
        return "crashed" if self.cut_off else "not running"


def health(parts: Parts) -> Health:
    """Measured now; MLX's version is read from its metadata, since the web server does not load it."""
    memory = psutil.virtual_memory()
    run = current(parts) if is_held(parts.workspace.training_lock) else None
    return Health(
        training_run=None if run is None else run.id,
        model_server=running_at(parts.workspace),
        crash=read_crash(parts.workspace),
        cut_off=read_record(parts.workspace) is not None,
        memory_total=memory.total,
        memory_available=memory.available,
        disk_free=_disk_free(parts),
        python_version=platform.python_version(),
        mlx_version=_version("mlx"),
    )


def _disk_free(parts: Parts) -> int | None:
    try:
        return shutil.disk_usage(parts.workspace.root).free
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
