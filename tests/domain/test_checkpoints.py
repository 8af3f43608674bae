"""Ranking, ties, pruning and early stopping."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.checkpoints import (
    Checkpoint,
    StoppingRule,
    best_iterations,
    kept_at_most,
    paired_standard_error,
    rank,
    standard_error,
    stop_reason,
    to_prune,
)


def checkpoint(iteration, loss, *, problem=None, sequences=()):
    return Checkpoint(
        iteration=iteration,
        path=f"{iteration}",
        sha256="",
        size_bytes=1,
        validation_loss=loss,
        sequence_losses=tuple(sequences),
        problem=problem,
    )


LOSSES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
MANY = st.lists(LOSSES, max_size=15).map(lambda losses: [checkpoint(n, v) for n, v in enumerate(losses, 1)])


def test_the_lowest_validation_loss_is_first():
    ranked = rank([checkpoint(10, 2.5), checkpoint(20, 2.0), checkpoint(30, 2.2)])
    assert [(c.iteration, c.rank, c.is_best) for c in ranked] == [
        (20, 1, True),
        (30, 2, False),
        (10, 3, False),
    ]


def test_what_cannot_be_used_is_listed_last_and_never_ranked():
    ranked = rank(
        [
            checkpoint(10, 0.1, problem="its file does not match its hash"),
            checkpoint(20, None),
            checkpoint(30, math.nan),
            checkpoint(40, math.inf),
            checkpoint(50, 3.0),
        ]
    )
    assert [(c.iteration, c.rank) for c in ranked] == [
        (50, 1),
        (10, None),
        (20, None),
        (30, None),
        (40, None),
    ]


@given(MANY)
def test_ranking_keeps_every_checkpoint_and_counts_from_one(checkpoints):
    ranked = rank(checkpoints)
    assert sorted(c.iteration for c in ranked) == [c.iteration for c in checkpoints]
    ranks = [c.rank for c in ranked if c.rank is not None]
    assert ranks == list(range(1, len(ranks) + 1))
    losses = [c.validation_loss for c in ranked if c.rank is not None]
    assert losses == sorted(losses)


def test_equal_losses_are_a_tie_and_the_earlier_one_wins():
    ranked = rank([checkpoint(20, 2.0), checkpoint(10, 2.0)])
    assert [(c.iteration, c.tied_with_best) for c in ranked] == [(10, False), (20, True)]


def test_a_difference_within_its_paired_standard_error_is_a_tie():
    best = checkpoint(10, 2.0, sequences=[(20.0, 10), (20.0, 10), (20.0, 10)])
    noisy = checkpoint(20, 61 / 30, sequences=[(17.0, 10), (25.0, 10), (19.0, 10)])
    steady = checkpoint(30, 61 / 30, sequences=[(20.33, 10), (20.33, 10), (20.34, 10)])
    ranked = {c.iteration: c.tied_with_best for c in rank([best, noisy, steady])}
    assert ranked == {10: False, 20: True, 30: False}


def test_losses_on_different_sequences_are_not_compared():
    assert paired_standard_error([(1.0, 10), (2.0, 10)], [(1.0, 10), (2.0, 11)]) is None
    assert paired_standard_error([(1.0, 10)], [(1.0, 10)]) is None
    assert paired_standard_error([(1.0, 0), (1.0, 0)], [(2.0, 0), (2.0, 0)]) is None


def test_the_standard_error_of_equal_targets_is_the_textbook_one():
    losses = [(1.0, 1), (2.0, 1), (3.0, 1), (6.0, 1)]
    deviation = math.sqrt(sum((x - 3.0) ** 2 for x, _ in losses) / 3)
    assert standard_error(losses) == pytest.approx(deviation / math.sqrt(4))


@given(MANY, st.integers(1, 6))
def test_pruning_spares_the_best_three_and_the_newest(checkpoints, keep):
    doomed = {c.iteration for c in to_prune(checkpoints, keep)}
    assert not doomed & set(best_iterations(checkpoints, 3))
    assert not doomed & {c.iteration for c in checkpoints[-1:]}
    assert len(checkpoints) - len(doomed) <= max(keep, 4) + 1


def test_nothing_is_pruned_unless_asked_for():
    assert to_prune([checkpoint(n, float(n)) for n in range(50)], None) == []


@pytest.mark.parametrize(
    ("rule", "losses", "stops"),
    [
        (StoppingRule(), [1.0, 2.0, 3.0, 400.0], False),
        (StoppingRule(patience=2), [], False),
        (StoppingRule(patience=2), [3.0, 2.0, 2.1], False),
        (StoppingRule(patience=2), [3.0, 2.0, 2.1, 2.0], True),
        (StoppingRule(patience=2), [3.0, 2.0, 2.1, 1.9], False),
        (StoppingRule(patience=2, min_delta=0.5), [3.0, 2.9, 2.8], True),
        (StoppingRule(overfitting_threshold=0.1), [3.0, 2.0, 2.19], False),
        (StoppingRule(overfitting_threshold=0.1), [3.0, 2.0, 2.3], True),
    ],
)
def test_a_run_stops_early_by_its_rule_and_says_why(rule, losses, stops):
    assert (stop_reason(rule, losses) is not None) is stops


@given(st.lists(st.floats(0, 5), min_size=1, max_size=12), st.none() | st.integers(1, 8))
def test_no_more_checkpoints_lie_there_than_is_said_beforehand(losses, keep):
    kept: list[Checkpoint] = []
    for iteration, loss in enumerate(losses, 1):
        kept.append(Checkpoint(iteration, "", "", 0, loss))
        pruned = {c.iteration for c in to_prune(kept, keep)}
        kept = [c for c in kept if c.iteration not in pruned]
    assert len(kept) <= kept_at_most(len(losses), keep)
