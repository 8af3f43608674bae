"""Wires the product together; the only place that builds what the services work with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from forgellm.services.inspection import Inspections
from forgellm.services.parts import Parts
from forgellm.settings import Settings, worker_environment
from forgellm.storage.workspace import Workspace


def local_time() -> datetime:
    """Now, with the machine's time zone."""
    return datetime.now().astimezone()


class Forge(Parts):
    """The parts, opened from settings. Raises InvalidPath where the workspace is not a folder."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = local_time) -> None:
        workspace, environment = Workspace.open(settings.workspace), worker_environment()
        super().__init__(
            workspace=workspace,
            hub_cache=settings.hub_cache,
            environment=environment,
            clock=clock,
            inspections=Inspections(workspace, settings.hub_cache, environment),
        )
