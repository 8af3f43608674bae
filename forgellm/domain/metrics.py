"""Numbers derived from events: series, smoothing, perplexity, stability, gap, time left.

Every function answers None where the number was not measured or has no meaning; nothing is guessed.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from forgellm.domain.runs import Event

Series = list[tuple[int, float]]
VariationBand = Literal["steady", "noisy", "unstable"]
GapBand = Literal["small", "moderate", "large"]


def current_events(events: Sequence[Event]) -> list[Event]:
    """The events that still count: a resumed run repeats the iterations after the state it resumed from."""
    kept: list[Event] = []
    limit = math.inf
    for event in reversed(events):
        if limit == math.inf or not _is_metric(event) or _iteration(event) <= limit:
            kept.append(event)
        if event["type"] == "resumed":
            limit = min(limit, _iteration(event))
    return kept[::-1]


def series(events: Sequence[Event], key: str) -> Series:
    """(iteration, value) of a metric key, ascending, the latest value of each iteration, finite ones only."""
    values: dict[int, float] = {}
    for event in current_events(events):
        iteration, value = _integer(event.get("iteration")), _number(event.get(key))
        if iteration is not None and value is not None and _is_metric(event):
            values[iteration] = value
    return sorted(values.items())


def mean_speed(speeds: Series, seconds: Series) -> float | None:
    """Mean over a run, each iteration weighted by the time it took where that is known."""
    known = dict(seconds)
    weights = [known.get(iteration, 0.0) for iteration, _ in speeds]
    if not sum(weights):
        weights = [1.0] * len(speeds)
    return sum(w * v for w, (_, v) in zip(weights, speeds, strict=True)) / sum(weights) if speeds else None


def smooth(points: Series, weight: float = 0.9) -> Series:
    """Exponential moving average with bias correction (as Adam's, Kingma & Ba 2015)."""
    total, correction, out = 0.0, 1.0, []
    for iteration, value in points:
        total = weight * total + (1.0 - weight) * value
        correction *= weight
        out.append((iteration, total / (1.0 - correction)))
    return out


def thin(points: Series, maximum: int) -> Series:
    """At most `maximum` points that keep every peak: the lowest and highest of equal stretches, both ends."""
    if len(points) <= maximum:
        return points
    stretches = (maximum - 2) // 2
    kept = {0, len(points) - 1}
    values = [value for _, value in points]
    for n in range(stretches):
        stretch = range(len(points) * n // stretches, len(points) * (n + 1) // stretches)
        kept |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
    return [points[i] for i in sorted(kept)]


def perplexity(loss: float | None) -> float | None:
    """exp(loss); None where it is not measured or exceeds what a float holds."""
    if loss is None or not math.isfinite(loss) or loss > 700.0:
        return None
    return math.exp(loss)


def prefers(spec: Mapping[str, object]) -> bool:
    """Whether a run's loss is that of preferences: nats per pair, and no mean over tokens."""
    return bool(spec.get("objective") == "dpo")


def perplexity_of(spec: Mapping[str, object], loss: float | None) -> float | None:
    """What a run's validation loss is as perplexity; None for one of preferences, which has none."""
    return None if prefers(spec) else perplexity(loss)


def variation(points: Series, window: int = 50) -> float | None:
    """Coefficient of variation of the last `window` values after removing their linear trend.

    0 is perfectly steady; None with fewer than five values or a mean that is not positive.
    """
    last = points[-window:]
    largest = max((abs(v) for _, v in last), default=0.0)
    if len(last) < 5 or not largest:
        return None
    # A loss that diverged may have squares that no float holds.
    tail = [(i, v / largest) for i, v in last]
    slope, intercept = _fit(tail)
    mean = sum(v for _, v in tail) / len(tail)
    if mean <= 0:
        return None
    residual = math.sqrt(sum((v - (slope * i + intercept)) ** 2 for i, v in tail) / len(tail))
    return residual / mean


def stability(points: Series, window: int = 50) -> float | None:
    """1 / (1 + variation): 1 is perfectly steady; None where that is not known."""
    varies = variation(points, window)
    return None if varies is None else 1.0 / (1.0 + varies)


def variation_band(varies: float | None) -> VariationBand | None:
    """In words. Batches of a few short sequences alone make a tenth or two."""
    if varies is None:
        return None
    return "steady" if varies < 0.1 else "noisy" if varies < 0.3 else "unstable"


def gap_band(gap: float | None) -> GapBand | None:
    """In words. 0.1 nats are a perplexity a tenth higher on data that was not seen, 0.3 a third."""
    if gap is None:
        return None
    return "small" if gap < 0.1 else "moderate" if gap < 0.3 else "large"


def rolling_stability(points: Series, *, window: int = 50, count: int = 400) -> Series:
    """`stability` as it stood at about `count` evenly spaced points, the last one among them."""
    step = max(1, len(points) // count)
    ends = range(len(points), 0, -step)
    values = [(points[end - 1][0], stability(points[max(0, end - window) : end], window)) for end in ends]
    return [(iteration, value) for iteration, value in reversed(values) if value is not None]


def generalization_gaps(events: Sequence[Event], window: int = 20) -> Series:
    """Each validation loss minus the mean training loss of the `window` iterations up to it."""
    return gaps_between(series(events, "training_loss"), series(events, "validation_loss"), window)


def gaps_between(training: Series, validation: Series, window: int = 20) -> Series:
    """Each value of `validation` minus the mean of `training` over the `window` iterations up to it."""
    iterations = [iteration for iteration, _ in training]
    gaps: Series = []
    for iteration, loss in validation:
        first = bisect.bisect_right(iterations, iteration - window)
        before = [value for _, value in training[first : bisect.bisect_right(iterations, iteration)]]
        if before:
            gaps.append((iteration, loss - sum(before) / len(before)))
    return gaps


def generalization_gap(events: Sequence[Event], window: int = 20) -> float | None:
    """The gap at the last validation; None where no training loss was measured just before it."""
    return last_gap(series(events, "training_loss"), series(events, "validation_loss"), window)


def last_gap(training: Series, validation: Series, window: int = 20) -> float | None:
    """As `generalization_gap`, of series."""
    gaps = gaps_between(training, validation, window)
    if not gaps or gaps[-1][0] != validation[-1][0]:
        return None
    return gaps[-1][1]


def eta_seconds(done: int, total: int, *, seconds_per_iteration: float | None) -> float | None:
    """Time left at the measured pace; None before anything was measured."""
    if seconds_per_iteration is None:
        return None
    return max(0, total - done) * seconds_per_iteration


def validations_to_come(done: int, total: int, *, eval_every: int, save_every: int) -> int:
    """How many fall due after iteration `done`: every so often, at each checkpoint and at the end."""
    if done >= total:
        return 0
    often, saved, both = (
        total // every - done // every for every in (eval_every, save_every, math.lcm(eval_every, save_every))
    )
    return often + saved - both + (total % eval_every != 0 and total % save_every != 0)


def _is_metric(event: Event) -> bool:
    return event["type"] in ("train", "validation", "checkpoint", "sample")


def _iteration(event: Event) -> int:
    return _integer(event.get("iteration")) or 0


def _fit(points: Series) -> tuple[float, float]:
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return slope, mean_y - slope * mean_x


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
