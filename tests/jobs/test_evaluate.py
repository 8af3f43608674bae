"""Held-out questions are asked greedily, judged exactly, and kept for reading."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from forgellm.domain.errors import DatasetNotFound, ModelNotFound
from forgellm.forge import Forge
from forgellm.jobs.evaluate import Answer, exact_match
from forgellm.services import evaluation, publishing, runs, training
from forgellm.settings import Settings
from forgellm.storage.workspace import Workspace
from tests.conftest import question_rows
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


def model_that_says_yes(forge: Forge, workspace: Workspace) -> str:
    """The tiny model after it has learned to answer every question with one word."""
    rows = [json.dumps({**row, "completion": "Yes."}) for row in question_rows()]
    (workspace.datasets / "questions" / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    run = training.start(forge, LEARN_TO_SAY_YES)
    assert wait_for(forge, run)[-1] == "completed"
    published = publishing.publish(forge, run)
    wait_for(forge, published)
    return str((runs.status(forge, published).progress.end or {})["published_model_path"])


def test_learned_answers_are_right_others_wrong_and_all_are_kept(forge: Forge, workspace: Workspace) -> None:
    model = model_that_says_yes(forge, workspace)
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
    assert (end["correct"], end["count"]) == (5, 6)


def test_a_dataset_without_held_out_questions_is_refused_by_name(forge: Forge, workspace: Workspace) -> None:
    run = evaluation.evaluate(forge, "models/base/tiny", "questions")
    assert wait_for(forge, run)[-1] == "failed"
    failure = runs.status(forge, run).failure or {}
    assert failure["code"] == "INVALID_DATASET"
    assert "heldout.jsonl" in str(failure["error"])


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
