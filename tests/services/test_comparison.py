"""Runs side by side: what differs, how steadily they learned, which is best where that can be said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from forgellm.data.token_files import writing_sequences
from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.services.answers import sampled
from forgellm.services.comparison import compare
from forgellm.storage.checkpoints import checkpoint_path, sha256_of, write_sidecar
from forgellm.storage.events import EventLog
from forgellm.storage.runs import create_run, run_folder

SPEC = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}


@pytest.fixture
def a_run(forge):
    """Makes a finished run of so many iterations whose losses fall as `loss` says, without training one."""

    def make(*, iterations=40, loss=lambda n: 5 / (1 + n / 10), valid=1, base="base", **spec):
        run = create_run(
            forge.workspace,
            RunKind.CPT,
            spec=to_dict(parse_spec({**SPEC, **spec})),
            name=None,
            created=forge.clock(),
            versions={},
            base_fingerprint=base,
        )
        folder = run_folder(forge.workspace, run)
        log = EventLog(folder, forge.clock)
        log.append("started", resume=False)
        log.append("validation", iteration=0, validation_loss=loss(0) + 0.05)
        for n in range(1, iterations + 1):
            log.append("train", iteration=n, training_loss=loss(n), learning_rate=1e-4, iteration_seconds=0.5)
        log.append("validation", iteration=iterations, validation_loss=loss(iterations) + 0.05)
        _checkpoint(folder, iterations, loss(iterations) + 0.05)
        _validation_set(folder, seed=valid)
        log.append("completed", iteration=iterations)
        return run

    return make


def _checkpoint(folder: Path, iteration: int, loss: float) -> None:
    path = checkpoint_path(folder, iteration)
    path.write_bytes(b"weights")
    losses = ((loss * 10, 10), (loss * 11, 10), (loss * 9, 10))
    write_sidecar(
        folder,
        Checkpoint(iteration, path.name, sha256_of(path), 7, validation_loss=loss, sequence_losses=losses),
    )


def _validation_set(folder: Path, *, seed: int) -> None:
    (folder / "corpus").mkdir()
    tokens = np.random.default_rng(seed).integers(5, 400, 30).astype(np.int32)
    with writing_sequences(folder / "corpus", "valid") as sequences:
        sequences.add(tokens, np.ones(30, np.bool_))


def test_the_better_run_ranks_first_and_the_settings_that_differ_are_listed(forge, a_run):
    good = a_run(loss=lambda n: 3 / (1 + n / 10), learning_rate=1e-3)
    bad = a_run()
    found = compare(forge, [bad, good], points=100)
    assert [(place.run, place.tied) for place in found.ranking] == [(good.id, False), (bad.id, False)]
    assert found.differences == {"learning_rate": [5e-5, 1e-3]}
    assert found.warnings == []
    first, _ = found.runs
    assert first.curves["perplexity"] == [(i, math.exp(v)) for i, v in first.curves["validation_loss"]]
    assert first.best[0].iteration == 40
    assert first.gap == pytest.approx(0.05, abs=0.5)


def test_runs_that_were_validated_on_other_tokens_have_no_ranking(forge, a_run):
    found = compare(forge, [a_run(), a_run(valid=2, dataset="general")], points=100)
    assert found.ranking is None
    assert any("validation sets differ" in warning for warning in found.warnings)
    assert any("datasets differ" in warning for warning in found.warnings)


def test_other_base_models_are_warned_of(forge, a_run):
    assert "base models differ" in compare(forge, [a_run(), a_run(base="other")], points=100).warnings[0]


def test_equal_losses_tie(forge, a_run):
    places = compare(forge, [a_run(), a_run()], points=100).ranking
    assert [place.tied for place in places] == [False, True]


def test_a_restless_loss_is_called_what_it_is(forge, a_run):
    calm, wild = a_run(loss=lambda n: 3 - n / 100), a_run(loss=lambda n: 3 + 2 * (-1) ** n)
    found = compare(forge, [calm, wild], points=100).runs
    assert [one.variation_band for one in found] == ["steady", "unstable"]


def test_a_run_that_has_measured_nothing_yet_is_shown_without_figures(forge, a_run):
    empty = create_run(
        forge.workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec(SPEC)),
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint="base",
    )
    found = compare(forge, [empty, a_run()], points=100)
    assert (found.runs[0].variation, found.runs[0].gap, list(found.runs[0].best)) == (None, None, [])
    assert found.ranking is None
    assert "no validation set yet" in found.warnings[0]


def test_long_curves_are_thinned_and_keep_their_peaks(forge, a_run):
    run = a_run(iterations=2000, loss=lambda n: 9.0 if n == 777 else 2.0)
    curve = compare(forge, [run], points=100).runs[0].curves["training_loss"]
    assert len(curve) <= 100
    assert (777, 9.0) in curve


def test_answers_are_listed_by_prompt_and_what_a_resume_repeated_counts_once(forge, a_run):
    run = a_run(iterations=1, sample_prompts=["Second?", "First?"])
    log = EventLog(run_folder(forge.workspace, run), forge.clock)
    for iteration, text in ((0, "a"), (20, "old"), (40, "gone")):
        log.append("sample", iteration=iteration, prompt="First?", text=text, finished=True)
    log.append("resumed", iteration=10)
    log.append("sample", iteration=20, prompt="First?", text="new", finished=False)
    log.append("sample", iteration=20, prompt="First?", text=None)
    second, first = sampled(forge, run)
    assert (second.prompt, second.answers) == ("Second?", [])
    assert [(a.iteration, a.text, a.finished) for a in first.answers] == [(0, "a", True), (20, "new", False)]


def test_losses_of_preferences_are_ranked_only_under_one_beta_and_have_no_perplexity(forge, a_run):
    wish = {"training_type": "ift", "objective": "dpo"}
    one, same = a_run(**wish), a_run(**wish, learning_rate=1e-4)
    alike = compare(forge, [one, same], points=50)
    assert alike.ranking is not None
    assert alike.runs[0].curves["perplexity"] == []
    other = compare(forge, [one, a_run(**wish, dpo_beta=0.5)], points=50)
    assert other.ranking is None
    assert any("dpo_beta" in warning for warning in other.warnings)
