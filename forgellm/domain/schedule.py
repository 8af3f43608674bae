"""Learning-rate schedules as pure functions of the optimiser step.

Step 0 is the first update. With warm-up the rate rises linearly from 0 at step 0 to its peak at step
`warmup`, then the decay begins: the values of `mlx_lm.tuner.utils.build_schedule`, whose join boundary
is `warmup + 1` and whose decay therefore lags one step behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from forgellm.domain.spec import TrainingSpec


@dataclass(frozen=True)
class Schedule:
    """`peak` is the learning rate after warm-up; it ends at `peak * final_factor` after `total` updates."""

    name: str
    peak: float
    total: int
    warmup: int = 0
    final_factor: float = 0.0


def schedule_of(spec: TrainingSpec, total: int) -> Schedule:
    """The learning-rate schedule of a spec over `total` updates."""
    return Schedule(
        name=spec.lr_schedule,
        peak=spec.learning_rate,
        total=total,
        warmup=spec.warmup_steps,
        final_factor=spec.lr_final_factor,
    )


def drawn(schedule: Schedule, *, points: int) -> list[tuple[int, float]]:
    """(update, rate) at no more than `points` evenly spaced updates, and at the peak."""
    last = schedule.total - 1
    steps = {round(last * n / (points - 2)) for n in range(points - 1)} | {min(schedule.warmup, last)}
    return [(step, learning_rate(schedule, step)) for step in sorted(steps)]


def learning_rate(schedule: Schedule, step: int) -> float:
    """The rate for optimiser update number `step`, counted from 0."""
    if step < schedule.warmup:
        return schedule.peak * step / schedule.warmup
    if schedule.warmup and step == schedule.warmup:
        return schedule.peak
    decay_start = schedule.warmup + 1 if schedule.warmup else 0
    return _decayed(schedule, step - decay_start, total=decay_steps(schedule))


def decay_steps(schedule: Schedule) -> int:
    """How many updates the decay takes."""
    return max(1, schedule.total - schedule.warmup)


def _decayed(schedule: Schedule, elapsed: int, *, total: int) -> float:
    if elapsed == 0:
        # The formulas below may round to just above the peak.
        return schedule.peak
    fraction = min(elapsed, total) / total
    floor = schedule.peak * schedule.final_factor
    if schedule.name == "linear":
        return schedule.peak + (floor - schedule.peak) * fraction
    if schedule.name == "cosine":
        return floor + (schedule.peak - floor) * 0.5 * (1.0 + math.cos(math.pi * fraction))
    return schedule.peak
