"""Holding out: no leakage, the share that was asked for, the same for the same seed."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forgellm.data.likeness import Sketcher, example_keys, sketch
from forgellm.data.records import Example
from forgellm.data.split import conversations, groups, hold_out, split
from forgellm.domain.chat import Message

ITEMS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 1000)), min_size=1, max_size=60)
SEEDS = st.integers(0, 2**32 - 1)
FRACTIONS = st.floats(0.01, 0.5)


def labels_and_sizes(items):
    labels = np.unique([key for key, _ in items], return_inverse=True)[1]
    return labels, np.array([size for _, size in items])


@given(items=ITEMS, seed=SEEDS, fraction=FRACTIONS)
def test_every_item_is_on_one_side_and_those_of_a_group_on_the_same(items, seed, fraction):
    labels, sizes = labels_and_sizes(items)
    train, held = hold_out(labels, sizes, fraction=fraction, seed=seed)
    assert sorted([*train, *held]) == list(range(len(items)))
    assert not {labels[i] for i in train} & {labels[i] for i in held}


@given(items=ITEMS, seed=SEEDS, fraction=FRACTIONS)
def test_both_sides_have_something_where_there_are_two_groups(items, seed, fraction):
    labels, sizes = labels_and_sizes(items)
    train, held = hold_out(labels, sizes, fraction=fraction, seed=seed)
    assert len(train)
    assert bool(len(held)) == (len(set(labels)) > 1)


@given(seed=SEEDS, fraction=st.floats(0.05, 0.5))
def test_about_the_asked_share_is_held_out(seed, fraction):
    sizes = np.arange(1000) % 17 + 1
    _, held = hold_out(np.arange(1000), sizes, fraction=fraction, seed=seed)
    share = sizes[held].sum() / sizes.sum()
    assert fraction <= share <= fraction + 17 / sizes.sum()


def test_a_seed_draws_the_same_again_and_another_one_differently():
    draws = [
        hold_out(np.arange(100), np.ones(100, int), fraction=0.1, seed=seed)[1].tolist() for seed in (3, 3, 4)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_one_giant_document_is_trained_on_and_not_held_out():
    for seed in range(20):
        sizes = np.array([1_000_000, 10, 10, 10])
        assert 0 not in hold_out(np.arange(4), sizes, fraction=0.1, seed=seed)[1]


@given(links=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30))
def test_items_with_a_key_in_common_are_one_group_also_by_way_of_others(links):
    keys = np.zeros((31, 1 + len(links)), np.uint64)
    keys[:, 0] = np.arange(1, 32)
    for n, (a, b) in enumerate(links, 1):
        keys[[a, b], n] = 99
    labels = groups(keys)
    assert sorted(set(labels)) == list(range(max(labels) + 1))
    assert all(labels[a] == labels[b] for a, b in links)
    expected = {frozenset(group) for group in joined(31, links)}
    assert {frozenset(np.flatnonzero(labels == n).tolist()) for n in set(labels)} == expected


def joined(count, links):
    owner = {n: {n} for n in range(count)}
    for a, b in links:
        both = owner[a] | owner[b]
        owner |= dict.fromkeys(both, both)
    return owner.values()


def test_where_all_are_nearly_equal_only_equal_ones_are_kept_together():
    keys = np.array([[n // 2 + 1, 7] for n in range(20)], np.uint64)
    train, held = split(keys, np.ones(20, int), fraction=0.2, seed=1)
    assert len(held) == 4
    assert not {n // 2 for n in train} & {n // 2 for n in held}


def a_text(seed, words=400):
    rng = random.Random(seed)
    return [rng.randrange(2000) for _ in range(words)]


def test_texts_that_differ_in_few_places_share_a_key_and_others_do_not():
    found = 0
    for seed in range(20):
        text = a_text(seed)
        changed = list(text)
        changed[150] = 3000
        one, two, other = sketch([np.array(t, np.int32) for t in (text, changed, a_text(seed + 100))])
        found += bool(set(one) & set(two))
        assert not set(one) & set(other)
    assert found >= 18


def test_the_key_of_a_text_does_not_depend_on_what_is_looked_at_with_it():
    texts = [np.array(a_text(seed, 60 + 40 * seed * seed), np.int32) for seed in range(45)]
    together = sketch(texts)
    for n in (0, 1, 30, 44):
        assert np.array_equal(sketch([texts[n]])[0], together[n])


def test_a_document_in_parts_has_the_keys_of_what_is_in_them_also_over_several_calls():
    texts = [np.array(a_text(seed, 900), np.int32) for seed in range(4)]
    sketcher, found = Sketcher(), []
    for text in texts:
        for start in (0, 300, 600):
            sketcher.add(text[start : start + 300], last=start == 600)
            if start == 300:
                found.append(sketcher.keys())
    found.append(sketcher.keys())
    assert [len(keys) for keys in found] == [0, 1, 1, 1, 1]
    for whole, parted in zip(sketch(texts), np.concatenate(found), strict=True):
        assert set(whole) & set(parted)


def test_a_text_of_a_few_words_has_no_key_beside_its_own():
    assert not sketch([np.arange(20, dtype=np.int32)]).any()


def keys_of(*texts):
    """Of a conversation whose messages alternate."""
    turns = (Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))
    return example_keys(Example(tuple(turns), "d/a.jsonl", 1))


def test_examples_made_of_one_conversation_answer_by_answer_are_on_one_side():
    made = [keys_of(*(f"{n} {turn}" for turn in range(2 * k + 2))) for n in range(60) for k in (2, 0, 1)]
    labels = groups(conversations(np.array(made, np.uint64)))
    assert labels.tolist() == np.repeat(np.arange(60), 3).tolist()


def test_conversations_that_only_begin_alike_can_be_parted():
    greeted = [keys_of("Hi", "Hello!", f"question {n}", f"answer {n}") for n in range(9)]
    assert groups(conversations(np.array(greeted, np.uint64))).tolist() == list(range(9))
    assert conversations(np.zeros((0, 3), np.uint64)).shape == (0, 3)


def test_the_same_question_is_never_on_both_sides_whatever_the_answer_and_the_system_prompt():
    def keys(system, question, answer):
        turns = (("system", system), ("user", question), ("assistant", answer))
        return example_keys(Example(tuple(Message(*turn) for turn in turns), "d/a.jsonl", 1))

    first, second = keys("Be brief.", "What is it?", "Salt."), keys("", "what  is it?\n", "Sugar.")
    assert first[1] == second[1]
    assert first[0] != second[0]
    assert keys("Be brief.", "What is it?", "Salt.") == keys("Be long.", "what is it? ", " salt. ")
