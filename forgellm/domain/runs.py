"""What a run is: its kind, its state, its events. Files and processes are someone else's.

The state is never stored. It follows from the events and from whether the run's lock is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class RunKind(str, Enum):
    """What a run does; the value is the prefix of its id."""

    CPT = "cpt"
    IFT = "ift"
    PUBLISH = "publish"
    QUANTIZE = "quantize"
    EXPORT = "export"
    EVALUATE = "evaluate"
    PUSH = "push"

    @property
    def trains(self) -> bool:
        return self in (RunKind.CPT, RunKind.IFT)


class RunState(str, Enum):
    """Where a run stands, as every surface of the product names it."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    COMPLETED = "completed"
    EARLY_STOPPED = "early_stopped"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_active(self) -> bool:
        """Occupies the machine or the queue (a paused run does not)."""
        return self in (RunState.PENDING, RunState.RUNNING, RunState.STOPPING)

    @property
    def can_resume(self) -> bool:
        return self in (RunState.PAUSED, RunState.INTERRUPTED, RunState.STOPPED, RunState.FAILED)


Event = Mapping[str, object]
"""One line of events.jsonl: `seq`, `time`, `type` and what the type carries."""

REFERENCE_PHASE = "measuring the base on every pair"
"""Before a run that learns preferences trains; how long it takes follows from the data."""

TERMINAL = {
    "completed": RunState.COMPLETED,
    "early_stopped": RunState.EARLY_STOPPED,
    "stopped": RunState.STOPPED,
    "failed": RunState.FAILED,
}
_LIFECYCLE = {
    **TERMINAL,
    "started": RunState.RUNNING,
    "resumed": RunState.RUNNING,
    "paused": RunState.PAUSED,
    "stopping": RunState.STOPPING,
}
LIFECYCLE = frozenset(_LIFECYCLE)
"""The types of event that decide the state; of these only the last one counts."""


@dataclass(frozen=True)
class Run:
    """What run.json says, written once. `folder` is relative to the workspace, with forward slashes."""

    id: str
    number: int
    kind: RunKind
    folder: str
    created: datetime
    spec: Mapping[str, object]
    versions: Mapping[str, str]
    base_fingerprint: str | None = None


def state_of(events: Sequence[Event], *, alive: bool, crashed: bool = False) -> RunState:
    """Derive the state from the last lifecycle event and from whether the lock is held.

    `crashed` means that the dying process left a fault report: the run failed and was not merely cut off.
    """
    last = next((_LIFECYCLE[str(e["type"])] for e in reversed(events) if e["type"] in _LIFECYCLE), None)
    if last is None:
        return RunState.PENDING
    if last in (RunState.RUNNING, RunState.STOPPING) and not alive:
        return RunState.FAILED if crashed else RunState.INTERRUPTED
    return last


def run_id(kind: RunKind, created: datetime, taken: frozenset[str] | set[str]) -> str:
    """`cpt_20250115_103045`, with `_2`, `_3` … when that second already has one."""
    stem = f"{kind.value}_{created:%Y%m%d_%H%M%S}"
    if stem not in taken:
        return stem
    suffix = 2
    while f"{stem}_{suffix}" in taken:
        suffix += 1
    return f"{stem}_{suffix}"
