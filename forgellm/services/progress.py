"""How far a run has come, folded from its events one by one. Whether it is alive is not decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from forgellm.domain.metrics import eta_seconds
from forgellm.domain.runs import Event

# Enough to smooth over one slow iteration, few enough to follow a change of pace.
_PACE_WINDOW = 20

_LATEST = (
    "iteration",
    "total_iterations",
    "phase",
    "training_loss",
    "validation_loss",
    "general_validation_loss",
    "learning_rate",
    "tokens_per_second",
    "memory_usage_gb",
)


@dataclass(frozen=True)
class Progress:
    """The latest value of each measurement; None is what was not measured (yet). Losses in nats per token."""

    iteration: int = 0
    total_iterations: int | None = None
    phase: str | None = None
    training_loss: float | None = None
    validation_loss: float | None = None
    general_validation_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    memory_usage_gb: float | None = None
    recent_seconds: tuple[float, ...] = ()
    end: Event | None = None

    @property
    def fraction(self) -> float | None:
        """Share of the iterations that are done, 0 to 1."""
        if not self.total_iterations:
            return None
        return min(1.0, self.iteration / self.total_iterations)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the pace of the last iterations, which were timed by the worker's monotonic clock."""
        if self.total_iterations is None or not self.recent_seconds:
            return None
        pace = sum(self.recent_seconds) / len(self.recent_seconds)
        return eta_seconds(self.iteration, self.total_iterations, seconds_per_iteration=pace)


def advance(progress: Progress, event: Event) -> Progress:
    """The progress after one more event."""
    changes = {key: event[key] for key in _LATEST if event.get(key) is not None}
    seconds = event.get("iteration_seconds")
    if isinstance(seconds, (int, float)):
        changes["recent_seconds"] = (*progress.recent_seconds, float(seconds))[-_PACE_WINDOW:]
    changes["end"] = event if event["type"] in _ENDS else None
    return replace(progress, **changes)  # type: ignore[arg-type]


_ENDS = ("completed", "early_stopped", "stopped", "paused", "failed")


def fold(events: Iterable[Event]) -> Progress:
    """The progress after all of `events`."""
    progress = Progress()
    for event in events:
        progress = advance(progress, event)
    return progress


def as_dict(progress: Progress) -> Mapping[str, object]:
    """Plain values for JSON."""
    values: dict[str, object] = {key: getattr(progress, key) for key in _LATEST}
    return {**values, "progress": progress.fraction, "eta_seconds": progress.eta_seconds}
