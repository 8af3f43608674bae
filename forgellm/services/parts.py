"""What every use case works with. `forgellm.forge.Forge` is the one that builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forgellm.services.inspection import Inspections
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Parts:
    """`environment` is that of the worker processes; `clock` gives the time, with its zone; `inspections`
    looks into datasets."""

    workspace: Workspace
    hub_cache: Path
    environment: Mapping[str, str]
    clock: Callable[[], datetime]
    inspections: Inspections
