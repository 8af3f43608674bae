"""How far a run has come, folded from its events one by one. Whether it is alive is not decided here.

An event may be any JSON object: what is not of the right kind, not finite or out of bounds counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from forgellm.domain.metrics import eta_seconds, validations_to_come
from forgellm.domain.runs import Event

# Enough to smooth over one slow iteration, few enough to follow a change of pace.
PACE_WINDOW = 20

# Beyond it JSON readers no longer tell one whole number from the next.
_LARGEST = 2**53
_MOVES = ("train", "validation", "resumed")
_ENDS = ("completed", "early_stopped", "stopped", "paused", "failed")


@dataclass(frozen=True)
class Progress:
    """The latest value of each measurement; None is what was not measured (yet). Losses in nats per token.

    `unvalidated` is true from the end of an iteration to that of the validation due after it, if any is.
    """

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
    validation_seconds: float | None = None
    eval_every: int | None = None
    save_every: int | None = None
    unvalidated: bool = False
    end: Event | None = None

    @property
    def fraction(self) -> float | None:
        """Share of the iterations that are done, 0 to 1."""
        if not self.total_iterations:
            return None
        return min(1.0, self.iteration / self.total_iterations)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the pace of the last iterations, with validations as long as the last one; the worker
        timed both by its monotonic clock."""
        if self.total_iterations is None or not self.recent_seconds:
            return None
        pace = sum(self.recent_seconds) / len(self.recent_seconds)
        left = eta_seconds(self.iteration, self.total_iterations, seconds_per_iteration=pace)
        return None if left is None else measured(left + self._validating_seconds(self.total_iterations))

    def _validating_seconds(self, total: int) -> float:
        """What validations still take; 0 where the run tells too little of them."""
        if self.validation_seconds is None or self.eval_every is None or self.save_every is None:
            return 0.0
        done = self.iteration - self.unvalidated
        return self.validation_seconds * validations_to_come(
            done, total, eval_every=self.eval_every, save_every=self.save_every
        )


def advance(progress: Progress, event: Event) -> Progress:
    """The progress after one more event."""
    return fold((event,), progress)


def fold(events: Iterable[Event], progress: Progress = Progress()) -> Progress:
    """The progress after all of `events`."""
    values: dict[str, object] = dict(vars(progress))
    seconds = list(progress.recent_seconds)
    for event in events:
        for key, valid in _KEPT.items():
            value = event.get(key)
            if value is not None and (value := valid(value)) is not None:
                values[key] = value
        spent = timed(event)
        if spent is not None:
            seconds.append(spent)
        if event.get("type") in _MOVES:
            values["unvalidated"] = event.get("type") == "train"
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
    return _seconds(event.get("iteration_seconds"))


def measured(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _seconds(value: object) -> float | None:
    seconds = measured(value)
    return None if seconds is None or seconds < 0 else seconds


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def _interval(value: object) -> int | None:
    return _count(value) or None


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
_KEPT: Mapping[str, Callable[[object], object]] = {
    **_LATEST,
    "validation_seconds": _seconds,
    "eval_every": _interval,
    "save_every": _interval,
}
