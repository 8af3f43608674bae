"""Learning rates: the same as mlx-lm's own schedules, and as promised at their ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.tuner.utils import build_schedule

from forgellm.domain.schedule import Schedule, decay_steps, drawn, learning_rate

SCHEDULES = st.builds(
    Schedule,
    name=st.sampled_from(["constant", "linear", "cosine"]),
    peak=st.floats(1e-7, 1.0),
    total=st.integers(1, 500),
    warmup=st.integers(0, 50),
    final_factor=st.floats(0.0, 1.0),
)
PEAK = 3e-4


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("final_factor", [0.0, 0.1])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_every_step_has_the_rate_that_mlx_lm_gives_it(name, final_factor, warmup):
    schedule = Schedule(name, PEAK, total=40, warmup=warmup, final_factor=final_factor)
    end, steps = PEAK * final_factor, decay_steps(schedule)
    arguments = {"cosine_decay": [PEAK, steps, end], "linear_schedule": [PEAK, end, steps]}
    function = "cosine_decay" if name == "cosine" else "linear_schedule"
    theirs = build_schedule({"name": function, "arguments": arguments[function], "warmup": warmup})
    for step in range(60):
        assert learning_rate(schedule, step) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-10), step


@given(schedule=SCHEDULES, step=st.integers(0, 1000))
def test_a_rate_never_leaves_the_range_from_zero_to_the_peak(schedule, step):
    assert 0.0 <= learning_rate(schedule, step) <= schedule.peak * (1 + 1e-12)


@given(schedule=SCHEDULES)
def test_the_rate_rises_to_the_peak_and_never_rises_again(schedule):
    rates = [learning_rate(schedule, step) for step in range(schedule.total + schedule.warmup + 5)]
    rising, falling = rates[: schedule.warmup + 1], rates[schedule.warmup :]
    assert rising == sorted(rising)
    assert rates[schedule.warmup] == schedule.peak
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(falling))


@given(schedule=SCHEDULES.filter(lambda s: s.name != "constant"))
def test_the_decay_ends_at_its_final_share_and_stays_there(schedule):
    last = schedule.peak * schedule.final_factor
    end = schedule.warmup + 1 + decay_steps(schedule)
    for step in (end, end + 1, end + 1000):
        assert learning_rate(schedule, step) == pytest.approx(last, abs=1e-12)


@given(schedule=SCHEDULES.filter(lambda s: s.name == "constant"), step=st.integers(0, 1000))
def test_a_constant_rate_is_constant_after_warm_up(schedule, step):
    assert learning_rate(schedule, schedule.warmup + step) == schedule.peak


def test_warm_up_begins_at_zero():
    schedule = Schedule("cosine", PEAK, total=100, warmup=4)
    assert [learning_rate(schedule, step) for step in range(5)] == [
        0.0,
        PEAK / 4,
        PEAK / 2,
        PEAK * 3 / 4,
        PEAK,
    ]


@given(SCHEDULES, st.integers(10, 200))
def test_a_drawn_schedule_has_its_ends_its_peak_and_no_more_points_than_asked_for(schedule, points):
    curve = drawn(schedule, points=points)
    assert len(curve) <= points
    assert (curve[0][0], curve[-1][0]) == (0, schedule.total - 1)
    assert curve == [(step, learning_rate(schedule, step)) for step, _ in curve]
    assert min(schedule.warmup, schedule.total - 1) in dict(curve)
