"""Holding out: no leakage, the share that was asked for, the same for the same seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forgellm.data.split import cut_in_two, hold_out

ITEMS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 1000)), min_size=1, max_size=60)
SEEDS = st.integers(0, 2**32 - 1)
FRACTIONS = st.floats(0.01, 0.5)


@given(items=ITEMS, seed=SEEDS, fraction=FRACTIONS)
def test_every_item_is_on_one_side_and_equal_ones_on_the_same(items, seed, fraction):
    keys = [key for key, _ in items]
    train, held = hold_out(keys, [size for _, size in items], fraction=fraction, seed=seed)
    assert sorted([*train, *held]) == list(range(len(items)))
    assert not {keys[i] for i in train} & {keys[i] for i in held}


@given(items=ITEMS, seed=SEEDS, fraction=FRACTIONS)
def test_both_sides_have_something_where_there_are_two_different_items(items, seed, fraction):
    keys = [key for key, _ in items]
    train, held = hold_out(keys, [size for _, size in items], fraction=fraction, seed=seed)
    assert train
    assert bool(held) == (len(set(keys)) > 1)


@given(seed=SEEDS, fraction=st.floats(0.05, 0.5))
def test_about_the_asked_share_is_held_out(seed, fraction):
    sizes = [n % 17 + 1 for n in range(1000)]
    _, held = hold_out(range(1000), sizes, fraction=fraction, seed=seed)
    share = sum(sizes[i] for i in held) / sum(sizes)
    assert fraction <= share <= fraction + 17 / sum(sizes)


def test_a_seed_draws_the_same_again_and_another_one_differently():
    draws = [hold_out(range(100), [1] * 100, fraction=0.1, seed=seed)[1] for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_one_giant_document_is_trained_on_and_not_held_out():
    for seed in range(20):
        _, held = hold_out(range(4), [1_000_000, 10, 10, 10], fraction=0.1, seed=seed)
        assert 0 not in held


@given(text=st.text(min_size=1), fraction=FRACTIONS)
def test_a_cut_text_is_whole_when_put_together(text, fraction):
    assert "".join(cut_in_two(text, fraction)) == text


def test_a_text_is_cut_between_paragraphs_near_the_asked_place():
    text = "\n\n".join(f"Paragraph {n}.\nIts second line." for n in range(20))
    beginning, end = cut_in_two(text, 0.1)
    assert beginning.endswith("line.\n\n")
    assert end.startswith("Paragraph 18.")


def test_a_text_without_paragraphs_is_cut_between_lines_sentences_or_words():
    assert cut_in_two("one\ntwo\nthree\nfour\n", 0.25) == ("one\ntwo\nthree\n", "four\n")
    assert cut_in_two("One is. Two is. Three is. Four is.", 0.25)[1] == "Four is."
    assert cut_in_two("one two three four", 0.25)[1] == "four"
