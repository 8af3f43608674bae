"""Texts that are nearly the same: found, told from those that are not, whatever language they are in."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from forgellm.data.duplicates import NearDuplicates, content_key
from forgellm.data.shingles import WORDS, shingles

WORDS_KNOWN = [f"word{n}" for n in range(5000)]


def text(seed: int, *, length: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS_KNOWN, k=length)


def changed(words: list[str], count: int) -> list[str]:
    places = random.Random(count).sample(range(len(words)), count)
    return ["changed" if n in places else word for n, word in enumerate(words)]


def likeness(one: list[str], other: list[str]) -> float:
    first, second = (set(zip(t, t[1:], t[2:], strict=False)) for t in (one, other))
    return len(first & second) / len(first | second)


def pairs(texts: list[str], **options: object) -> list[tuple[int, int]]:
    finder = NearDuplicates(**options)
    for one in texts:
        finder.add(one)
    return list(finder.pairs())


def test_what_shares_nearly_all_triples_of_words_is_found_and_what_shares_fewer_is_not():
    originals = [text(seed) for seed in range(400)]
    near = [changed(one, 3) for one in originals]
    far = [changed(one, 12) for one in originals]
    assert min(likeness(a, b) for a, b in zip(originals, near, strict=True)) > 0.9
    assert max(likeness(a, b) for a, b in zip(originals, far, strict=True)) < 0.8
    found = pairs([" ".join(one) for one in [*originals, *near, *far]])
    expected = {(n + 400, n) for n in range(400)}
    assert len(expected & set(found)) >= 396
    assert len(set(found) - expected) <= 4


def test_case_punctuation_and_white_space_make_no_difference():
    assert pairs(["The market is held, every Monday!", "the  market is held\n\nevery monday"]) == [(1, 0)]


def test_every_text_of_a_group_is_named_with_its_first():
    same = "the market is held every day of the week"
    assert pairs([same, "something else altogether stands here", *[same + "!"] * 4]) == [
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 0),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "東京は日本の首都であり、世界最大の都市の一つです。",
            "東京は日本の首都であり、世界最大の都市の一つです!",
        ),
        ("서울은 대한민국의 수도이자 가장 큰 도시이다.", "서울은 대한민국의 수도이자 가장 큰 도시이다!"),
        ("Москва — столица России, город на реке.", "москва столица россии город на реке"),
    ],
)
def test_other_scripts_are_compared_as_well(one, other):
    assert pairs([one, "這是完全不同的一句話，沒有相同之處。", other]) == [(2, 0)]


def test_texts_without_words_are_like_nothing():
    assert pairs(["", "…", "!", "", "\ud83d"]) == []


def test_short_questions_that_differ_in_a_name_are_not_the_same():
    names = ["Alder", "Brinmoor", "Castle", "Dellwater"]
    assert pairs([f"When is the market of {name} held in summer?" for name in names]) == []


def test_beyond_a_bound_no_more_are_looked_at():
    finder = NearDuplicates(most=2)
    assert [finder.add("the same text as before") for _ in range(3)] == [True, True, False]
    assert list(finder.pairs()) == [(1, 0)]


def test_how_texts_are_gathered_makes_no_difference_to_their_hashes():
    texts = [" ".join(text(seed, length=length)) for seed, length in enumerate([0, 1, 2, 3, 4, 50])]
    together, offsets = shingles(texts)
    for one, (begin, end) in zip(texts, pairwise(offsets.astype(int)), strict=True):
        assert np.array_equal(shingles([one])[0], together[begin:end])
    assert list(np.diff(offsets.astype(int))) == [0, 1, 1, 1, 2, 50 - WORDS + 1]


def test_texts_that_differ_in_white_space_have_one_key():
    assert content_key("a  b\n") == content_key("a b")
    assert content_key("a b") != content_key("ab")
    long = "ab c\n" * 300_000
    assert content_key(long) == content_key(" ".join(long.split()))
    assert content_key("ab" * 600_000) != content_key("ab" * 599_999 + " ab")
