"""BLEU and chrF are what sacrebleu's own command says; perplexity is exp of the token-weighted loss."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from forgellm.domain.checkpoints import standard_error
from forgellm.jobs.scoring import answer_scores, text_scores
from forgellm.training.losses import Measurement

EXPECTED = [
    "The salt market of Brinmoor is held every Tuesday.",
    "The rope market of Alder Quay is held every Monday, from morning until noon.",
    "Nobody knows.",
    "Prices rose by 3.5 % in 1923 – not before.",
]
ANSWERS = [
    "The salt market of Brinmoor is held each Tuesday.",
    "The rope market of Alder Quay is held every Friday until noon.",
    "Nobody knows.",
    "",
]


def test_bleu_and_chrf_are_those_of_sacrebleus_command_line(tmp_path: Path) -> None:
    for name, lines in (("expected", EXPECTED), ("answers", ANSWERS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", tmp_path / "expected", "-i", tmp_path / "answers"]
    done = subprocess.run(
        [*command, "-m", "bleu", "chrf", "-w", "6"], capture_output=True, text=True, check=True
    )
    theirs = {one["name"]: one["score"] for one in json.loads(done.stdout)}
    ours = answer_scores(ANSWERS, EXPECTED)
    assert ours["bleu"].value == pytest.approx(theirs["BLEU"], abs=1e-5)
    assert ours["chrf"].value == pytest.approx(theirs["chrF2"], abs=1e-5)
    assert 30 < theirs["BLEU"] < 90
    assert ours["bleu"].count == ours["chrf"].count == 4
    # They are of all answers at once, and no mean.
    assert ours["bleu"].standard_error is None


def test_every_measure_of_answers_is_taken() -> None:
    scores = answer_scores(ANSWERS, EXPECTED)
    assert scores["exact_match"].value == 0.25
    assert scores["exact_match"].standard_error == pytest.approx(math.sqrt(0.25 * 0.75 / 4))
    assert scores["response_words"].value == (9 + 12 + 2 + 0) / 4
    # 18 different of 23: market, of, The, is, held, of answers one and two come twice.
    assert scores["distinct_1"].value == pytest.approx(18 / 23)
    assert answer_scores([], []) == {}


def test_perplexity_is_weighted_by_tokens_and_has_the_error_of_the_loss() -> None:
    sequences = ((2.0, 1), (3.0, 3), (9.0, 4))
    scores = text_scores(Measurement(14 / 8, 8, sequences))
    error = standard_error(sequences)
    assert error is not None
    assert scores["loss"].value == 1.75
    assert scores["loss"].standard_error == error
    assert scores["perplexity"].value == pytest.approx(math.exp(1.75))
    assert scores["perplexity"].standard_error == pytest.approx(error * math.exp(1.75))
    assert text_scores(Measurement(math.nan, 0, ()))["perplexity"].value is None
