"""Scores of answers against cases that were counted by hand."""

from __future__ import annotations

import math

import pytest

from forgellm.domain.scores import Score, distinct, length, mean, rouge_l, share, token_f1


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ("The salt market, of Brinmoor!", "salt market of brinmoor", 1.0),
        # Two words of three, and two of four: 2 * 2 / (3 + 4).
        ("red red salt", "salt red blue green", 4 / 7),
        ("red red red", "red", 0.5),
        ("Monday", "Tuesday", 0.0),
        ("", "", 1.0),
        ("the", "an", 1.0),
        ("", "Tuesday", 0.0),
    ],
)
def test_token_f1_counts_shared_words(answer: str, expected: str, score: float) -> None:
    assert token_f1(answer, expected) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        # Lin's own example (2004): the longest common subsequence has 3 and 2 of 4 words.
        ("police kill the gunman", "police killed the gunman", 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        # `b d` of 3 and of 5 words: 2 * 2 / (3 + 5).
        ("b x d", "A B c D e", 4 / 8),
        ("Köln, Bonn", "köln bonn", 1.0),
        ("", "anything", 0.0),
    ],
)
def test_rouge_l_follows_the_longest_common_subsequence(answer: str, expected: str, score: float) -> None:
    assert rouge_l(answer, expected) == pytest.approx(score)


def test_distinct_is_the_share_of_different_runs_of_words() -> None:
    answers = ["a b a b", "a b"]
    assert distinct(answers, 1) == Score(2 / 6, 6)
    # ab ba ab, ab.
    assert distinct(answers, 2) == Score(2 / 4, 4)
    assert distinct(["one"], 2) == Score(None, 0)


def test_means_have_the_standard_error_of_their_spread() -> None:
    assert mean([1.0, 3.0]) == Score(2.0, 2, pytest.approx(math.sqrt(2 / 2)))
    assert length(["one two", "one", ""]) == Score(1.0, 3, pytest.approx(math.sqrt(1 / 3)))
    assert mean([5.0]) == Score(5.0, 1, None)
    assert mean([]) == Score(None, 0, None)
    assert share(3, 12) == Score(0.25, 12, pytest.approx(0.125))
