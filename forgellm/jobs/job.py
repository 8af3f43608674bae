"""What a worker hands to the code that does a run's work, and what it gets back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Run
from forgellm.storage.events import EventLog
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """One execution of a run. `resumed` when the run had begun before.

    `control` says `run`, `pause` or `stop`; a job asks between two steps, records `stopping` and obeys.
    `locks` are the descriptors of the run's claim, for a process that works on the run too.
    """

    workspace: Workspace
    run: Run
    folder: Path
    log: EventLog
    hub_cache: Path
    control: Callable[[], str]
    clock: Callable[[], datetime]
    resumed: bool = False
    locks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a job ended without an error: the type (completed, early_stopped, stopped or paused) and values
    of the run's last event."""

    type: str
    values: Mapping[str, object] = field(default_factory=dict)


def utc_now() -> datetime:
    """The time, for event logs."""
    return datetime.now(timezone.utc)


def failure_values(error: ForgeError) -> dict[str, object]:
    """What a `failed` event says."""
    return {
        "code": error.code,
        "error": error.message,
        # The last word of a run must not fail over what some detail is.
        "details": json.loads(json.dumps(error.details, default=str)),
        "suggestion": error.suggestion,
    }
