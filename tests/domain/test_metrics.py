"""Numbers derived from events: which events count, and what each number does at its edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.metrics import (
    current_events,
    eta_seconds,
    gap_band,
    generalization_gap,
    generalization_gaps,
    perplexity,
    rolling_stability,
    series,
    smooth,
    stability,
    validations_to_come,
    variation_band,
)

# What a loss can be: training computes them in float32.
LOSSES = st.floats(-(2.0**100), 2.0**100, width=32)
POSITIVE = st.floats(2.0**-20, 2.0**100, width=32)
VALUES = st.one_of(st.none(), st.booleans(), st.text(max_size=2), st.integers(-5, 5), st.floats())
METRICS = ("train", "validation", "checkpoint", "sample")
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from([*METRICS, "started", "resumed", "resumed", "phase", "completed"])},
    optional={"iteration": st.one_of(st.none(), st.integers(0, 12)), "training_loss": VALUES},
)
EVENTS = st.lists(EVENT, max_size=30)


def curve(values):
    return list(enumerate(values, 1))


def training(*losses, start=1):
    return [{"type": "train", "iteration": i, "training_loss": loss} for i, loss in enumerate(losses, start)]


def validation(iteration, loss):
    return {"type": "validation", "iteration": iteration, "validation_loss": loss}


def test_a_resumed_run_forgets_what_it_had_measured_beyond_the_state_it_resumed_from():
    before, after = training(1.0, 2.0, 3.0), training(20.0, 30.0, start=2)
    events = [*before, {"type": "resumed", "iteration": 1}, *after]
    assert series(events, "training_loss") == [(1, 1.0), (2, 20.0), (3, 30.0)]


def test_an_iteration_that_is_not_repeated_after_the_resume_is_gone():
    events = [*training(1.0, 2.0, 3.0), {"type": "resumed", "iteration": 1}]
    assert series(events, "training_loss") == [(1, 1.0)]


@given(EVENTS)
def test_each_resume_takes_back_the_later_metrics_before_it_and_nothing_else(events):
    kept = []
    for event in events:
        if event["type"] == "resumed":
            start = event.get("iteration") or 0
            kept = [e for e in kept if e["type"] not in METRICS or (e.get("iteration") or 0) <= start]
        kept.append(event)
    assert current_events(events) == kept
    assert current_events(kept) == kept


@given(EVENTS)
def test_a_series_ascends_by_iteration_and_holds_finite_numbers_only(events):
    points = series(events, "training_loss")
    iterations = [i for i, _ in points]
    assert iterations == sorted(set(iterations))
    assert all(isinstance(value, float) and math.isfinite(value) for _, value in points)


def test_a_series_takes_the_latest_value_of_an_iteration_from_metric_events_alone():
    events = [
        *training(1.0, 2.0),
        *training(1.5),
        {"type": "completed", "iteration": 2, "training_loss": 9.0},
        {"type": "train", "iteration": True, "training_loss": 9.0},
        {"type": "train", "training_loss": 9.0},
    ]
    assert series(events, "training_loss") == [(1, 1.5), (2, 2.0)]


@pytest.mark.parametrize("value", [None, True, "1.0", math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_not_in_a_series(value):
    assert series(training(value), "training_loss") == []


@given(st.lists(LOSSES, max_size=40), st.floats(0.0, 0.999))
def test_smoothing_keeps_the_iterations_and_stays_between_the_extremes(values, weight):
    smoothed = smooth(curve(values), weight)
    assert [i for i, _ in smoothed] == list(range(1, len(values) + 1))
    slack = 1e-9 * max(map(abs, values), default=0.0)
    assert all(min(values) - slack <= v <= max(values) + slack for _, v in smoothed)


@given(LOSSES, st.integers(1, 100), st.floats(0.0, 0.999))
def test_smoothing_a_constant_leaves_it_from_the_first_point_on(value, count, weight):
    assert [v for _, v in smooth(curve([value] * count), weight)] == pytest.approx([value] * count)


@given(st.lists(LOSSES, max_size=10))
def test_smoothing_with_no_weight_on_the_past_changes_nothing(values):
    assert smooth(curve(values), 0.0) == curve(values)


@given(st.floats(-700, 700), st.floats(-700, 700))
def test_perplexity_is_the_exponential_and_rises_with_the_loss(a, b):
    assert math.log(perplexity(a)) == pytest.approx(a, abs=1e-9)
    assert (perplexity(a) <= perplexity(b)) or a > b


@pytest.mark.parametrize("loss", [None, math.nan, math.inf, -math.inf, 700.1])
def test_perplexity_of_what_is_not_measured_or_too_large_is_none(loss):
    assert perplexity(loss) is None


@given(st.lists(POSITIVE, min_size=5, max_size=80))
def test_stability_lies_between_0_and_1(values):
    assert 0.0 < stability(curve(values)) <= 1.0


@given(st.floats(0.1, 100), st.floats(-1, 1), st.integers(5, 60))
def test_a_straight_line_is_perfectly_stable_whatever_its_slope(level, slope, count):
    values = [level + slope * level * i / count for i in range(count)]
    assert stability(curve(values)) == pytest.approx(1.0, abs=1e-6)


@given(st.lists(st.floats(0.5, 50.0), min_size=5, max_size=60), st.floats(0.01, 100.0))
def test_stability_does_not_depend_on_the_scale(values, factor):
    scaled = [value * factor for value in values]
    assert stability(curve(scaled)) == pytest.approx(stability(curve(values)), rel=1e-6)


def test_losses_whose_squares_no_float_holds_are_as_stable_as_smaller_ones():
    values = [2.0, 5.0, 3.0, 9.0, 4.0, 8.0]
    assert stability(curve([value * 1e300 for value in values])) == pytest.approx(stability(curve(values)))


def test_more_noise_is_less_stable():
    noisy = [[2.0 + size * (-1) ** i for i in range(50)] for size in (0.0, 0.1, 0.5, 1.0)]
    values = [stability(curve(each)) for each in noisy]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4


def test_stability_looks_at_the_window_alone():
    wild, calm = [1.0, 900.0] * 20, [2.0] * 50
    assert stability(curve(wild + calm), 50) == pytest.approx(1.0)
    assert stability(curve(wild + calm), 51) < 0.9


@pytest.mark.parametrize("values", [[], [1.0] * 4, [0.0] * 9, [-1.0] * 9, [1.0, -1.0] * 5])
def test_stability_of_too_few_values_or_of_a_mean_that_is_not_positive_is_none(values):
    assert stability(curve(values)) is None


@given(st.lists(POSITIVE, max_size=150), st.integers(5, 60), st.integers(1, 50))
def test_rolling_stability_ends_with_the_stability_of_now_and_stays_short(values, window, count):
    points = curve(values)
    rolling = rolling_stability(points, window=window, count=count)
    now = stability(points, window)
    assert (rolling[-1] if rolling else None) == (None if now is None else (len(values), now))
    assert len(rolling) <= 2 * count
    assert [i for i, _ in rolling] == sorted({i for i, _ in rolling})


def test_rolling_stability_is_what_stability_was_at_that_time():
    points = curve([2.0 + math.sin(i * i) for i in range(60)])
    rolling = rolling_stability(points, window=20)
    assert rolling == [(n, stability(points[:n], 20)) for n in range(5, 61)]


def test_the_gap_is_the_validation_loss_minus_the_mean_training_loss_just_before():
    events = [*training(9.0, 1.0, 3.0), validation(3, 2.5)]
    assert generalization_gaps(events, window=2) == [(3, 0.5)]
    assert generalization_gap(events, window=2) == 0.5


def test_a_validation_with_no_training_before_it_has_no_gap():
    events = [validation(0, 4.0), *training(2.0, 2.0), validation(2, 3.0), validation(50, 3.0)]
    assert generalization_gaps(events) == [(2, 1.0)]
    assert generalization_gap(events) is None
    assert generalization_gap([]) is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.floats(0, 10), st.integers(1, 30))
def test_raising_every_training_loss_lowers_every_gap_by_as_much(losses, raised, window):
    checks = [validation(i, 5.0) for i in range(len(losses) + 3)]
    gaps = generalization_gaps([*training(*losses), *checks], window)
    lower = generalization_gaps([*training(*(loss + raised for loss in losses)), *checks], window)
    assert [i for i, _ in gaps] == [i for i, _ in lower]
    assert [v - raised for _, v in gaps] == pytest.approx([v for _, v in lower], abs=1e-9)


def test_the_time_left_is_what_the_remaining_iterations_take():
    assert eta_seconds(30, 100, seconds_per_iteration=0.5) == 35.0
    assert eta_seconds(0, 100, seconds_per_iteration=None) is None
    assert eta_seconds(120, 100, seconds_per_iteration=0.5) == 0.0


def test_steadiness_and_gap_have_words():
    assert [variation_band(v) for v in (None, 0.05, 0.2, 0.5)] == [None, "steady", "noisy", "unstable"]
    assert [gap_band(g) for g in (None, -1.0, 0.05, 0.2, 1.0)] == [
        None,
        "small",
        "small",
        "moderate",
        "large",
    ]


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_the_validations_to_come_are_those_that_the_loop_would_make(done, total, often, saved):
    due = [n for n in range(done + 1, total + 1) if n % often == 0 or n % saved == 0 or n == total]
    assert validations_to_come(done, total, eval_every=often, save_every=saved) == len(due)
