"""How far a run has come, folded from its events one by one. Whether it is alive is not decided here.

An event may be any JSON object: what is not of the right kind, not finite or out of bounds counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from forgellm.domain.metrics import eta_seconds
from forgellm.domain.runs import Event

# Enough to smooth over one slow iteration, few enough to follow a change of pace.
PACE_WINDOW = 20

# Beyond it JSON readers no longer tell one whole number from the next.
_LARGEST = 2**53
_ENDS = ("completed", "early_stopped", "stopped", "paused", "failed")


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
        return measured(eta_seconds(self.iteration, self.total_iterations, seconds_per_iteration=pace))


def advance(progress: Progress, event: Event) -> Progress:
    """The progress after one more event."""
    return fold((event,), progress)


def fold(events: Iterable[Event], progress: Progress = Progress()) -> Progress:
    """The progress after all of `events`."""
    values: dict[str, object] = dict(vars(progress))
    seconds = list(progress.recent_seconds)
    for event in events:
        for key, valid in _LATEST.items():
            value = event.get(key)
            if value is not None and (value := valid(value)) is not None:
                values[key] = value
        spent = timed(event)
        if spent is not None:
            seconds.append(spent)
        values["end"] = event if event.get("type") in _ENDS else None
    values["recent_seconds"] = tuple(seconds[-PACE_WINDOW:])
    return Progress(**values)  # type: ignore[arg-type]


def as_dict(progress: Progress) -> Mapping[str, object]:
    """Plain values for JSON; every number is finite."""
    return {
        **{key: getattr(progress, key) for key in _LATEST},
        "progress": progress.fraction,
        "eta_seconds": progress.eta_seconds,
    }


def timed(event: Event) -> float | None:
    """How long the iteration of a `train` event took, in seconds."""
    seconds = measured(event.get("iteration_seconds"))
    return None if seconds is None or seconds < 0 else seconds


def measured(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_LATEST: Mapping[str, Callable[[object], object]] = {
    "iteration": _count,
    "total_iterations": _count,
    "phase": _text,
    "training_loss": measured,
    "validation_loss": measured,
    "general_validation_loss": measured,
    "learning_rate": measured,
    "tokens_per_second": measured,
    "memory_usage_gb": measured,
}
