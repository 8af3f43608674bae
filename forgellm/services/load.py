"""How busy the machine is, in percent, measured when asked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import psutil

from forgellm.services.parts import Parts

# Long enough for the system's own clock of 10 ms to count in it.
_SECONDS = 0.1


@dataclass(frozen=True)
class Load:
    """`disk` is of the workspace's disk, None where the workspace has gone."""

    cpu: float
    memory: float
    disk: float | None


def load(parts: Parts) -> Load:
    """Takes a tenth of a second: that is how long the processors are watched."""
    try:
        usage = shutil.disk_usage(parts.workspace.root)
        disk = round(100 * usage.used / usage.total, 1)
    except OSError:
        disk = None
    return Load(float(psutil.cpu_percent(interval=_SECONDS)), float(psutil.virtual_memory().percent), disk)
