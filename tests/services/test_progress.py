"""Folding events, and what becomes of events that are none of ours."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.services.progress import Progress, advance, as_dict, fold

KEYS = [*as_dict(Progress()), "type", "iteration_seconds", "validation_seconds", "eval_every", "save_every"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.lists(st.dictionaries(st.sampled_from(KEYS) | st.text(), JSON, max_size=8), max_size=30)


def test_nothing_is_known_before_anything_was_measured():
    progress = fold([{"seq": 1, "type": "started"}])
    assert progress == Progress()
    assert (progress.fraction, progress.eta_seconds) == (None, None)


def test_the_latest_value_of_each_measurement_counts():
    events = [
        {"type": "phase", "phase": "training", "total_iterations": 10},
        {"type": "validation", "iteration": 0, "validation_loss": 3.0},
        {"type": "train", "iteration": 1, "training_loss": 2.9, "iteration_seconds": 2.0},
        {"type": "train", "iteration": 2, "training_loss": 2.8, "iteration_seconds": 4.0},
    ]
    progress = fold(events)
    assert (progress.training_loss, progress.validation_loss, progress.phase) == (2.8, 3.0, "training")
    assert progress.fraction == pytest.approx(0.2)
    assert progress.eta_seconds == pytest.approx(8 * 3.0)


def test_the_time_left_follows_a_change_of_pace():
    slow = [{"type": "train", "iteration": n, "iteration_seconds": 100.0} for n in range(1, 50)]
    fast = [{"type": "train", "iteration": n, "iteration_seconds": 1.0} for n in range(50, 80)]
    progress = fold([{"type": "phase", "total_iterations": 100}, *slow, *fast])
    assert progress.eta_seconds == pytest.approx(21.0)


def test_validations_to_come_are_part_of_the_time_left_and_those_done_do_not_slow_the_pace():
    begun = [
        {"type": "phase", "phase": "training", "total_iterations": 10, "eval_every": 2, "save_every": 3},
        {"type": "validation", "iteration": 0, "validation_seconds": 99.0},
        {"type": "train", "iteration": 1, "iteration_seconds": 1.0},
        {"type": "train", "iteration": 2, "iteration_seconds": 1.0},
    ]
    validated = [*begun, {"type": "validation", "iteration": 2, "validation_seconds": 7.0}]
    # After 2: 3, 4, 6 (once, though both fall due), 8, 9, 10; before its event the one at 2 is yet to end.
    assert fold(begun).eta_seconds == pytest.approx(8 * 1.0 + 7 * 99.0)
    assert fold(validated).eta_seconds == pytest.approx(8 * 1.0 + 6 * 7.0)
    last = [*validated, {"type": "train", "iteration": 10, "iteration_seconds": 1.0}]
    assert fold(last).eta_seconds == pytest.approx(7.0)
    assert fold([*last, {"type": "validation", "iteration": 10}]).eta_seconds == 0.0


def test_a_resumed_run_has_validated_the_iteration_that_it_goes_on_from():
    events = [
        {"type": "phase", "total_iterations": 8, "eval_every": 4, "save_every": 4},
        *({"type": "train", "iteration": n, "iteration_seconds": 1.0} for n in range(1, 5)),
        {"type": "validation", "iteration": 4, "validation_seconds": 5.0},
        *({"type": "train", "iteration": n, "iteration_seconds": 1.0} for n in range(5, 9)),
        {"type": "resumed", "iteration": 4},
    ]
    assert fold(events).eta_seconds == pytest.approx(4 * 1.0 + 5.0)


def test_a_resumed_run_stands_where_its_state_was_saved():
    events = [
        {"type": "train", "iteration": 9, "training_loss": 1.0},
        {"type": "resumed", "iteration": 5},
    ]
    assert fold(events).iteration == 5


def test_the_end_is_forgotten_when_the_run_goes_on():
    ended = [{"type": "paused", "iteration": 5}]
    assert fold(ended).end == ended[0]
    assert fold([*ended, {"type": "started", "resume": True}]).end is None


@given(EVENTS)
def test_whatever_an_event_holds_the_progress_is_in_finite_numbers(events):
    values = as_dict(fold(events))
    json.dumps(values, allow_nan=False)
    for key, value in values.items():
        kinds = {"phase": str, "iteration": int, "total_iterations": int}.get(key, float)
        assert value is None or type(value) is kinds, key


@given(EVENTS, st.integers(0, 30))
def test_folding_goes_on_where_it_stopped(events, cut):
    progress = fold(events[:cut])
    for event in events[cut:]:
        progress = advance(progress, event)
    assert progress == fold(events) == fold(events[cut:], fold(events[:cut]))


@pytest.mark.parametrize("bad", [True, "2", [2.0], {}, -1, 2.5, 2**60, 10**400, math.inf, math.nan, None])
def test_what_is_no_count_leaves_the_count_as_it_was(bad):
    before = {"type": "train", "iteration": 7, "total_iterations": 10}
    progress = fold([before, {"type": "train", "iteration": bad, "total_iterations": bad}])
    assert (progress.iteration, progress.total_iterations) == (7, 10)


@pytest.mark.parametrize("bad", [True, "2", [2.0], {}, 10**400, math.inf, math.nan, None])
def test_what_is_no_measurement_leaves_the_last_one(bad):
    events = [{"type": "train", "training_loss": 2}, {"type": "train", "training_loss": bad}]
    assert fold(events).training_loss == 2.0


def test_a_time_left_that_is_no_number_is_not_given():
    slow = {"type": "train", "iteration": 1, "total_iterations": 2**53, "iteration_seconds": 1e308}
    assert fold([slow] * 3).eta_seconds is None
    assert fold([{**slow, "iteration_seconds": -1.0}]).eta_seconds is None
