"""Every measure of a set of answers, and of a model on held-out text, each with its count and its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from forgellm.domain.checkpoints import standard_error
from forgellm.domain.metrics import perplexity
from forgellm.domain.scores import Score, distinct, length, mean, rouge_l, share, token_f1
from forgellm.training.losses import Measurement


@dataclass(frozen=True)
class Answer:
    """One held-out question; `correct` when the answer equals the expected one but for outer white space.

    `base_answer` is that of the model without the adapter, where one was evaluated. `cut` when there was no
    room for its end.
    """

    question: str
    expected: str
    answer: str
    correct: bool
    base_answer: str | None = None
    cut: bool = False


def exact_match(answers: Sequence[Answer]) -> dict[str, object]:
    """The share of correct answers, 0 to 1, its count and its binomial standard error."""
    correct = sum(a.correct for a in answers)
    score = share(correct, len(answers))
    return {
        "exact_match": score.value,
        "correct": correct,
        "count": score.count,
        "standard_error": score.standard_error,
    }


def answer_scores(answers: Sequence[str], expected: Sequence[str]) -> Mapping[str, Score]:
    """Of each measure its score; BLEU and chrF are sacrebleu's, from 0 to 100, over all answers at once."""
    pairs = list(zip(answers, expected, strict=True))
    if not pairs:
        return {}
    references = [list(expected)]
    return {
        "exact_match": share(sum(answer == wanted for answer, wanted in pairs), len(pairs)),
        "token_f1": mean([token_f1(*pair) for pair in pairs]),
        "rouge_l": mean([rouge_l(*pair) for pair in pairs]),
        "bleu": Score(BLEU().corpus_score(list(answers), references).score, len(pairs)),
        "chrf": Score(CHRF().corpus_score(list(answers), references).score, len(pairs)),
        "distinct_1": distinct(answers, 1),
        "distinct_2": distinct(answers, 2),
        "response_words": length(answers),
    }


def text_scores(measured: Measurement) -> Mapping[str, Score]:
    """Loss in nats per token and perplexity, counted in tokens; the perplexity's error follows the loss's."""
    error = standard_error(measured.sequence_losses)
    value = perplexity(measured.loss)
    spread = None if error is None or value is None else error * value
    if not math.isfinite(measured.loss):
        return {"loss": Score(None, measured.tokens), "perplexity": Score(None, measured.tokens)}
    return {
        "loss": Score(measured.loss, measured.tokens, error),
        "perplexity": Score(value, measured.tokens, spread),
    }
