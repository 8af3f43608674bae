"""How like an answer is to the expected one, by words, and what many such numbers come to.

All scores are from 0 to 1. What compares runs of characters or of words over all answers at once (BLEU,
chrF) is not here.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Score:
    """A measurement over `count` things; `standard_error` is None where it is no mean of theirs."""

    value: float | None
    count: int
    standard_error: float | None = None


def mean(values: Sequence[float]) -> Score:
    """The mean with the standard error that its spread gives it; no error of a single value."""
    count = len(values)
    if not count:
        return Score(None, 0)
    middle = math.fsum(values) / count
    if count < 2:
        return Score(middle, count)
    spread = math.fsum((value - middle) ** 2 for value in values) / (count - 1)
    return Score(middle, count, math.sqrt(spread / count))


def share(correct: int, count: int) -> Score:
    """`correct` of `count`, with the binomial standard error."""
    part = correct / count
    return Score(part, count, math.sqrt(part * (1 - part) / count))


def token_f1(answer: str, expected: str) -> float:
    """F1 of the words both have, as SQuAD counts them: without case, punctuation and articles."""
    given, wanted = _squad_words(answer), _squad_words(expected)
    if not given or not wanted:
        return float(given == wanted)
    return _f1(sum((Counter(given) & Counter(wanted)).values()), len(given), len(wanted))


def rouge_l(answer: str, expected: str) -> float:
    """F1 of the longest common subsequence of words (Lin 2004), without case, stems and punctuation."""
    given, wanted = _WORD.findall(answer.casefold()), _WORD.findall(expected.casefold())
    return _f1(_common_subsequence(given, wanted), len(given), len(wanted))


def distinct(answers: Sequence[str], n: int) -> Score:
    """Share of the sequences of `n` words in all answers that are different (Li et al. 2016)."""
    runs = [tuple(words[i : i + n]) for words in map(_words, answers) for i in range(len(words) - n + 1)]
    return Score(len(set(runs)) / len(runs) if runs else None, len(runs))


def length(answers: Sequence[str]) -> Score:
    """Words in an answer."""
    return mean([float(len(_words(answer))) for answer in answers])


def _words(text: str) -> list[str]:
    return text.split()


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(common: int, given: int, wanted: int) -> float:
    return 2 * common / (given + wanted) if common else 0.0


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Its length, row by row of the usual table."""
    above = [0] * (len(second) + 1)
    for word in first:
        row = [0]
        for column, other in enumerate(second):
            row.append(above[column] + 1 if word == other else max(above[column + 1], row[column]))
        above = row
    return above[-1]
