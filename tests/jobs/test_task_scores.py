"""What lm-eval 0.4.13 found of a small model on four questions, as it gave it, and the numbers in it."""

from __future__ import annotations

import pytest

from forgellm.cli.evaluate import score_lines
from forgellm.jobs.task_scores import task_scores

FOUND = {
    "results": {
        "markets": {
            "name": "markets",
            "alias": "markets",
            "sample_len": 4,
            "acc,none": 0.25,
            "acc_stderr,none": "N/A",
            "acc_norm,none": 0.5,
            "acc_norm_stderr,none": "N/A",
        },
        "gens": {
            "alias": "gens",
            "sample_len": 4,
            "exact_match,strict": 0.0,
            "exact_match_stderr,strict": "N/A",
            "exact_match,loose": 1.0,
            "bleu,strict": 0.0,
        },
        "roll": {"alias": "roll", "sample_len": 4, "word_perplexity,none": 568.203161023913},
    },
    "n-shot": {"markets": 0, "gens": 5, "roll": 0},
    "n-samples": {"markets": {"original": 4, "effective": 4}},
    "samples": {
        "markets": [{"filter": "none", "acc": n < 1, "acc_norm": float(n < 2)} for n in range(4)],
        "gens": [
            {"filter": way, "exact_match": float(way == "loose"), "bleu": ["a", "b"]}
            for way in ("strict", "loose")
            for _ in range(4)
        ],
        "roll": [{"filter": "none", "word_perplexity": [-90.0, 9]} for _ in range(4)],
    },
}


def test_every_number_has_its_count_and_means_have_an_error() -> None:
    rows = list(task_scores(FOUND))
    assert [(r["task"], r["metric"], r["filter"], r["value"], r["standard_error"]) for r in rows] == [
        ("markets", "acc", "none", 0.25, pytest.approx(0.25)),
        ("markets", "acc_norm", "none", 0.5, pytest.approx(0.288675)),
        ("gens", "exact_match", "strict", 0.0, 0.0),
        ("gens", "exact_match", "loose", 1.0, 0.0),
        ("gens", "bleu", "strict", 0.0, None),
        ("roll", "word_perplexity", "none", pytest.approx(568.203161), None),
    ]
    assert {(r["task"], r["count"], r["shots"]) for r in rows} == {
        ("markets", 4, 0),
        ("gens", 4, 5),
        ("roll", 4, 0),
    }


def test_a_table_shows_base_and_adapter_beside_each_other() -> None:
    rows = list(task_scores(FOUND))
    lines = score_lines({"tasks": rows, "base_tasks": rows})
    assert lines[0].split() == ["task", "base", "adapter", "count"]
    assert lines[1].split() == "markets acc 0.2500 ± 0.2500 0.2500 ± 0.2500 4".split()
    assert lines[4].split()[:3] == ["gens", "exact_match,", "loose"]
