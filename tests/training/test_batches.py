"""The order and layout of batches."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.training.batches import BatchOrder, Cursor, bucket_widths, collate
from tests.training.loops import random_sequences

lengths = st.lists(st.integers(2, 3000), min_size=1, max_size=200).map(lambda x: np.array(x, np.int64))


@given(lengths, st.integers(1, 16), st.integers(0, 5))
def test_every_sequence_is_seen_exactly_once_an_epoch(
    lengths: np.ndarray, batch_size: int, epoch: int
) -> None:
    order = BatchOrder(lengths, batch_size, seed=1)
    batches = list(islice(order.from_cursor(Cursor(epoch, 0)), order.batches_per_epoch))
    seen = sorted(int(i) for _, indices, _ in batches for i in indices)
    assert seen == list(range(len(lengths)))
    assert {cursor.epoch for cursor, _, _ in batches} == {epoch}


@given(lengths, st.integers(1, 8), st.integers(0, 30))
def test_the_order_continues_from_any_saved_cursor(lengths: np.ndarray, batch_size: int, taken: int) -> None:
    whole = list(islice(BatchOrder(lengths, batch_size, seed=3).from_cursor(Cursor()), taken + 5))
    cursor = whole[taken - 1][0] if taken else Cursor()
    rest = list(islice(BatchOrder(lengths, batch_size, seed=3).from_cursor(cursor), 5))
    for (a, x, w), (b, y, v) in zip(whole[taken:], rest, strict=True):
        assert (a, w) == (b, v)
        assert x.tolist() == y.tolist()


@given(lengths)
def test_widths_hold_the_sequence_and_are_few(lengths: np.ndarray) -> None:
    widths = bucket_widths(lengths)
    assert (widths >= lengths).all()
    assert widths.max() == lengths.max()
    assert len(set(widths.tolist())) <= 4 * np.log2(max(lengths.max(), 128) / 8)
    assert (widths <= np.maximum(lengths + 16, lengths * 1.25 + 1)).all()


@pytest.mark.parametrize(
    ("rows", "given", "full"),
    [(8, {}, 2.0), (5, {}, 1.25), (3, {}, 1.0), (9, {"tokens": 66}, 4.5)],
)
def test_an_incomplete_batch_counts_as_a_part_of_a_full_one(
    rows: int, given: dict[str, int], full: float
) -> None:
    assert BatchOrder(np.full(rows, 33, np.int64), 4, seed=0, **given).full_batches == full


def test_batches_of_chat_lengths_are_mostly_true_tokens() -> None:
    rng = np.random.default_rng(0)
    drawn = np.clip(rng.lognormal(4.3, 0.9, 2000), 8, 1024).astype(np.int64)
    order = BatchOrder(drawn, 8, seed=0)
    used = sum(8 * width for _, _, width in islice(order.from_cursor(Cursor()), order.batches_per_epoch))
    assert drawn.sum() / used > 0.88


def test_an_incomplete_batch_keeps_the_shape_and_learns_nothing_from_empty_rows() -> None:
    sequences = random_sequences([5, 9], learned_share=0.5)
    batch = collate(sequences, np.array([1, 0]), 12, rows=4)
    assert batch.tokens.shape == batch.learned.shape == (4, 12)
    assert batch.true_tokens == 14
    assert batch.targets == int(sequences.learned.sum())
    assert not batch.learned[2:].any()
