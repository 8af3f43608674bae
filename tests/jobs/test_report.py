"""What a run came to: its numbers from its events, and the words for them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone

import matplotlib.style
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.runs import RunKind, RunState
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.dashboard import STYLE, draw
from forgellm.jobs.report import (
    NOT_MEASURED,
    Report,
    duration,
    duration_seconds,
    ending,
    loss,
    rate,
    settings,
)
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import read_events
from forgellm.storage.liveness import state
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run, run_folder
from tests.jobs.sample_reports import (
    CASES,
    STARTED,
    a_run,
    checkpoints,
    completed,
    failed,
    training,
    validation,
)


@pytest.fixture
def real(workspace, tmp_path, worker_environment):
    """The report of a run that a worker trained for 8 iterations in one epoch."""
    base = find_model(workspace, tmp_path, "models/base/tiny")
    wish = {
        "model_name": "models/base/tiny",
        "training_type": "ift",
        "dataset": "questions",
        "general_dataset": "general",
        "batch_size": 4,
        "epochs": 1,
        "save_every": 4,
        "eval_every": 2,
    }
    run = create_run(
        workspace,
        RunKind.IFT,
        spec=to_dict(parse_spec(wish)),
        name="real",
        created=datetime(2025, 1, 15, tzinfo=timezone.utc),
        versions={},
        base_fingerprint=fingerprint(base.path),
    )
    folder = run_folder(workspace, run)
    worker = [sys.executable, "-m", "forgellm.jobs.worker", str(folder)]
    subprocess.run(worker, cwd=workspace.root, env=worker_environment, check=True, timeout=200)
    return Report(run, state(folder), read_events(folder), read_checkpoints(folder))


def row(report, name):
    return dict(settings(report))[name]


def test_a_real_run_is_reported_and_drawn_in_full(real):
    end = real.events[-1]
    assert ending(real) == "completed"
    assert real.iterations == end["iteration"]
    assert real.trained_tokens == end["trained_tokens"]
    assert duration_seconds(real) == pytest.approx(end["training_seconds"])
    assert real.tokens_per_second == pytest.approx(real.trained_tokens / duration_seconds(real))
    assert [c.iteration for c in real.best_three] == end["best_checkpoints"]
    assert real.final_loss < real.initial_loss
    assert real.peak_memory_gb == max(e["peak_memory_gb"] for e in real.events if e["type"] == "train")
    assert real.validation_tokens(0) == real.validation_tokens(real.iterations) > 0
    assert row(real, "Iterations") == f"{real.iterations} of {real.iterations}"
    with matplotlib.style.context(["default", STYLE]):
        words = [text.get_text() for axes in draw(real).axes for text in axes.texts]
    assert "Generalization gap" in words
    assert not [each for each in words if NOT_MEASURED in each]


def test_nothing_is_made_up_for_a_run_that_never_began():
    report = CASES["nothing happened"]
    measured = [report.initial_loss, report.final_loss, report.trained_tokens, report.tokens_per_second]
    assert measured == [None] * 4
    assert (report.peak_memory_gb, duration_seconds(report), report.validation_tokens(0)) == (
        None,
        None,
        None,
    )
    assert report.iterations == 0
    assert report.best_three == []


def test_the_initial_loss_is_the_one_before_any_update_or_none():
    assert completed(20).initial_loss == 4.0
    later = Report(a_run(), RunState.RUNNING, [STARTED, validation(5, 2.0)], [])
    assert (later.initial_loss, later.final_loss) == (None, 2.0)


def test_the_mean_speed_weighs_each_iteration_with_its_time():
    fast = training(1, 2.0, tokens_per_second=300.0, iteration_seconds=1.0)
    slow = training(2, 2.0, tokens_per_second=100.0, iteration_seconds=3.0)
    assert Report(a_run(), RunState.RUNNING, [fast, slow], []).tokens_per_second == 150.0
    unknown = [{**event, "iteration_seconds": None} for event in (fast, slow)]
    assert Report(a_run(), RunState.RUNNING, unknown, []).tokens_per_second == 200.0


def test_repeated_iterations_count_once_in_time_and_tokens():
    report = CASES["resumed"]
    assert duration_seconds(report) == 50.0
    assert report.trained_tokens == 100 * 100


def test_the_best_three_are_usable_and_in_order():
    written = checkpoints([10, 40, 60, 80], 100)
    broken = replace(written[-1], problem="its file is missing")
    report = Report(a_run(), RunState.COMPLETED, [], [*written[:-1], broken])
    assert [c.iteration for c in report.best_three] == sorted([10, 40, 60], key=lambda i: losses(written)[i])
    assert [c.rank for c in report.best_three] == [1, 2, 3]


def losses(written):
    return {c.iteration: c.validation_loss for c in written}


def test_the_planned_iterations_are_those_the_worker_settled_on():
    report = completed(30, run=a_run(max_iterations=None, epochs=2.0))
    assert row(report, "Iterations") == "30 of 30"
    assert row(CASES["failed while loading"], "Iterations") == "0 of 100"


def test_why_a_run_failed_is_told_in_its_own_words():
    assert ending(failed([STARTED], "no such model", "MODEL_NOT_FOUND")) == (
        "failed MODEL_NOT_FOUND: no such model"
    )
    reason = "no improvement of more than 0.0 in 3 validations"
    early = [STARTED, {"type": "early_stopped", "reason": reason}]
    assert ending(Report(a_run(), RunState.EARLY_STOPPED, early, [])) == f"early stopped: {reason}"


def test_a_failure_that_a_resume_left_behind_is_no_longer_told():
    again = [
        STARTED,
        {"type": "failed", "code": "OUT_OF_MEMORY", "error": "too large"},
        STARTED,
        {"type": "resumed", "iteration": 0},
    ]
    assert ending(Report(a_run(), RunState.RUNNING, again, [])) == "running"
    assert ending(Report(a_run(), RunState.FAILED, again, [])) == "failed"


def test_a_mixture_names_both_of_its_datasets():
    mixed = a_run(general_dataset="general", data_mixture_ratio=0.8)
    assert row(completed(1, run=mixed), "Dataset") == "domain 80%, general 20%"
    assert row(completed(1, run=a_run(general_dataset="general")), "Dataset") == "domain"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "LoRA rank 16, scale 2, all blocks"),
        ({"fine_tune_type": "dora", "lora_rank": 8, "num_layers": 4}, "DoRA rank 8, scale 2, last 4 blocks"),
        ({"fine_tune_type": "full"}, "every weight, all blocks"),
        ({"train_also": ["norms"]}, "LoRA rank 16, scale 2, all blocks, and norms"),
    ],
)
def test_the_method_is_told_in_one_line(values, words):
    assert row(completed(1, run=a_run(**values)), "Method") == words


def test_batches_and_optimiser_are_told_with_what_is_set():
    run = a_run(batch_size=2, grad_accumulation_steps=4, max_seq_length=2048, warmup_steps=10)
    assert row(completed(1, run=run), "Batch") == "2 × 4 sequences of up to 2,048 tokens"
    assert row(completed(1, run=run), "Optimiser") == "adamw, 5e-5 cosine, warm-up 10"
    measured = Report(
        a_run(batch_size=2), RunState.RUNNING, [{"type": "corpus", "longest_sequence": 129}], []
    )
    assert row(measured, "Batch") == "2 sequences of up to 129 tokens"


def test_an_adapter_that_a_run_started_from_is_named():
    started = a_run(start_from="models/cpt/first/0000100_adapters.safetensors")
    assert row(completed(1, run=started), "Started from") == "models/cpt/first/0000100_adapters.safetensors"
    assert "Started from" not in dict(settings(completed(1)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, NOT_MEASURED),
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (48.4, "48 s"),
        (59.7, "1 min 0 s"),
        (725, "12 min 5 s"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@given(st.floats(0, 50 * 86_400))
def test_no_duration_ever_shows_sixty_of_a_unit(seconds):
    assert "60" not in duration(seconds).split()


def test_losses_have_four_decimals_and_rates_no_padding():
    assert (loss(2.5), loss(None)) == ("2.5000", NOT_MEASURED)
    assert (rate(5e-05), rate(0.001), rate(None)) == ("5e-5", "0.001", NOT_MEASURED)
