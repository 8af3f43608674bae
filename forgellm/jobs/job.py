"""What a worker hands to the code that does a run's work, and what it gets back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Run
from forgellm.storage.events import EventLog
from forgellm.storage.files import read_json
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


def called_off(folder: Path, log: EventLog, *, command: str) -> Outcome:
    """The end of a run that was told to pause or to stop before its first iteration since it was started: it
    is as far as its saved state."""
    iteration = _saved_iteration(folder)
    log.append("stopping", iteration=iteration, command=command)
    return Outcome("paused" if command == "pause" else "stopped", {"iteration": iteration})


def _saved_iteration(folder: Path) -> int:
    """Read without what trains: a worker of several machines has none of it in memory."""
    # That a state is damaged is said by who goes on from it.
    with suppress(OSError, ValueError, KeyError, TypeError):
        saved: Any = read_json(folder / "state" / "state.json")
        return int(saved["iteration"])
    return 0


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
