"""Held-out questions are asked greedily, judged exactly, and kept for reading."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.cli.evaluate import score_lines
from forgellm.domain.errors import DatasetNotFound, InvalidField, MissingExtra, ModelNotFound
from forgellm.domain.runs import Run, RunKind
from forgellm.forge import Forge
from forgellm.jobs.evaluate import evaluate
from forgellm.jobs.scoring import Answer, exact_match
from forgellm.services import evaluation, publishing, runs, training
from forgellm.settings import Settings
from forgellm.storage.events import read_events
from forgellm.storage.runs import list_runs
from forgellm.storage.workspace import Workspace
from tests.conftest import end_with_the_text_alone, question_rows
from tests.data.templates import QWEN3
from tests.jobs.conftest import job_of
from tests.services.conftest import wait_for

LEARN_TO_SAY_YES = {
    "model_name": "models/base/tiny",
    "training_type": "ift",
    "dataset": "questions",
    "fine_tune_type": "full",
    "train_also": ["embeddings", "norms"],
    "learning_rate": 5e-3,
    "batch_size": 20,
    "max_iterations": 40,
    "eval_every": 40,
    "save_every": 40,
    "validation_fraction": 0.03,
}


@pytest.fixture
def forge(workspace: Workspace, hub_cache: Path) -> Forge:
    return Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))


def write_held_out(workspace: Workspace, rows: list[dict[str, object]]) -> None:
    path = workspace.datasets / "questions" / "heldout.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def let_it_think(model: Path) -> None:
    """Two tokens more, and the chat template of a model that thinks."""
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    for number, marker in enumerate(("<think>", "</think>"), 512):
        tokenizer["added_tokens"].append({"id": number, "content": marker, **plain})
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": QWEN3.template}))
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": 514}), encoding="utf-8")
    weights = load_file(model / "model.safetensors")
    known = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = np.concatenate([known, known[:2]])
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})


def says_yes(forge: Forge, workspace: Workspace) -> tuple[Run, str]:
    """A run in which the tiny model learned to answer every question with one word, and it as a model. What
    ends an answer is known from its chat template alone, which also puts an empty thought before it."""
    end_with_the_text_alone(workspace.base_models / "tiny")
    let_it_think(workspace.base_models / "tiny")
    rows = [json.dumps({**row, "completion": "Yes."}) for row in question_rows()]
    (workspace.datasets / "questions" / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    run = training.start(forge, LEARN_TO_SAY_YES)
    assert wait_for(forge, run)[-1] == "completed"
    published = publishing.publish(forge, run)
    wait_for(forge, published)
    return run, str((runs.status(forge, published).progress.end or {})["published_model_path"])


def test_learned_answers_are_right_others_wrong_and_all_are_kept(forge: Forge, workspace: Workspace) -> None:
    source, model = says_yes(forge, workspace)
    settings = json.loads((workspace.root / model / "generation_config.json").read_text(encoding="utf-8"))
    assert settings == {"eos_token_id": [0, 2]}
    rows = [{**row, "completion": "Yes."} for row in list(question_rows())[:6]]
    rows[2]["completion"] = "Nobody knows."
    write_held_out(workspace, rows)
    run = evaluation.evaluate(forge, model, "questions")
    assert wait_for(forge, run)[-1] == "completed"
    lines = (workspace.root / run.folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [Answer(**json.loads(line)) for line in lines]
    assert [a.question for a in answers] == [row["prompt"] for row in rows]
    assert [a.answer for a in answers] == ["Yes."] * 6
    assert [a.correct for a in answers] == [True, True, False, True, True, True]
    end = runs.status(forge, run).progress.end or {}
    assert (end["correct"], end["count"], end["answers_cut"]) == (5, 6, 0)
    assert int(str(end["max_tokens"])) > 8
    scores = cast("Mapping[str, Mapping[str, float]]", end["metrics"])
    assert {name: score["value"] for name, score in scores.items()} == {
        "loss": pytest.approx(math.log(scores["perplexity"]["value"])),
        "perplexity": scores["perplexity"]["value"],
        **dict.fromkeys(("exact_match", "token_f1", "rouge_l"), pytest.approx(5 / 6)),
        "bleu": scores["bleu"]["value"],
        "chrf": scores["chrf"]["value"],
        "distinct_1": pytest.approx(1 / 6),
        "distinct_2": None,
        "response_words": 1.0,
    }
    compare_with_the_base(forge, source, scores)


def compare_with_the_base(forge: Forge, source: Run, published: Mapping[str, Mapping[str, float]]) -> None:
    """The checkpoint answers as the model that it was published as; its base stands beside it."""
    run = evaluation.evaluate_adapter(forge, source, max_tokens=16)
    assert wait_for(forge, run)[-1] == "completed"
    end = runs.status(forge, run).progress.end or {}
    assert (end["max_tokens"], end["answers_cut"], end["base_answers_cut"]) == (16, 0, 6)
    scores, base = (
        cast("Mapping[str, Mapping[str, float]]", end[name]) for name in ("metrics", "base_metrics")
    )
    assert scores.keys() == base.keys() == published.keys()
    values, known = (
        {n: s["value"] for n, s in one.items() if n != "distinct_2"} for one in (scores, published)
    )
    assert values == pytest.approx(known, rel=1e-3)
    assert base["exact_match"]["value"] == 0
    assert base["loss"]["value"] != pytest.approx(scores["loss"]["value"], rel=0.01)
    lines = (forge.workspace.root / str(end["answers_path"])).read_text(encoding="utf-8").splitlines()
    kept = [Answer(**json.loads(line)) for line in lines]
    assert [a.answer for a in kept] == ["Yes."] * 6
    assert all(a.base_answer not in (None, "Yes.") for a in kept)


def test_the_loss_of_documents_is_that_of_the_runs_own_validation(town: Forge) -> None:
    source = next(run for run in list_runs(town.workspace) if run.kind.trains)
    run = evaluation.evaluate_adapter(town, source)
    assert wait_for(town, run)[-1] == "completed"
    end = runs.status(town, run).progress.end or {}
    scores, base = (cast("Mapping[str, Mapping[str, float]]", end[n]) for n in ("metrics", "base_metrics"))
    assert scores.keys() == base.keys() == {"loss", "perplexity"}
    # There are no questions: nobody is sent to look at an empty file.
    assert "answers_path" not in end
    assert score_lines(end)[-1] == "No question is held out: none was asked."
    losses = {e["iteration"]: e["validation_loss"] for e in runs.events(town, source, types=["validation"])}
    assert base["loss"]["value"] == pytest.approx(losses[0], abs=1e-5)
    assert scores["loss"]["value"] == pytest.approx(losses[run.spec["iteration"]], abs=1e-5)
    assert 0 < scores["loss"]["standard_error"] < 1
    assert end["text"] == f"validation set of {source.id}"


def test_a_dataset_without_held_out_questions_is_refused_by_name(forge: Forge, workspace: Workspace) -> None:
    run = evaluation.evaluate(forge, "models/base/tiny", "questions")
    assert wait_for(forge, run)[-1] == "failed"
    failure = runs.status(forge, run).failure or {}
    assert failure["code"] == "INVALID_DATASET"
    assert "heldout.jsonl" in str(failure["error"])


def test_a_stop_is_obeyed_in_the_middle_of_an_answer(forge: Forge, workspace: Workspace) -> None:
    write_held_out(workspace, list(question_rows())[:2])
    looks = itertools.count()
    spec = {"model_name": "models/base/tiny", "dataset": "questions", "max_tokens": 100_000}
    job = job_of(forge, RunKind.EVALUATE, spec, control=lambda: "run" if next(looks) < 5 else "stop")
    assert evaluate(job).type == "stopped"
    told = [event["type"] for event in read_events(job.folder)]
    assert told == ["phase", "phase", "measured", "phase", "stopping"]
    assert not (job.folder / "answers.jsonl").exists()
    job.log.append("stopped")


def test_tasks_are_names_and_need_their_extra(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtra) as caught:
        evaluation.evaluate(forge, "models/base/tiny", None, tasks=["arc_easy"])
    assert "pip install 'forgellm[lm-eval]'" in caught.value.suggestion
    for name in ("/etc/task.yaml", "../task", "", "models/base/task.yaml"):
        with pytest.raises(InvalidField, match="is not the name of a task"):
            evaluation.evaluate(forge, "models/base/tiny", None, tasks=[name])
    with pytest.raises(InvalidField, match="dataset is missing"):
        evaluation.evaluate(forge, "models/base/tiny", None)
    assert runs.statuses(forge) == []


def test_a_missing_model_or_dataset_starts_nothing(forge: Forge, workspace: Workspace) -> None:
    with pytest.raises(ModelNotFound):
        evaluation.evaluate(forge, "models/base/none", "questions")
    shutil.rmtree(workspace.datasets / "questions")
    with pytest.raises(DatasetNotFound):
        evaluation.evaluate(forge, "models/base/tiny", "questions")
    assert runs.statuses(forge) == []


def test_the_share_has_a_binomial_standard_error() -> None:
    answers = [Answer("q", "a", "a" if n < 3 else "b", n < 3) for n in range(12)]
    assert exact_match(answers) == {
        "exact_match": 0.25,
        "correct": 3,
        "count": 12,
        "standard_error": pytest.approx(0.125),
    }
