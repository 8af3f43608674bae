import pytest

from forgellm.services.progress import Progress, fold


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
