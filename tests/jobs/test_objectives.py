"""Runs with other objectives and beginnings, from their start to a published model, in this process."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from forgellm.data.tokens import load_tokenizer
from forgellm.domain.extent import folder_name
from forgellm.domain.runs import Run, RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.held_out import held_out
from forgellm.jobs.job import Job, Outcome, utc_now
from forgellm.jobs.publish import publish
from forgellm.jobs.train import train
from forgellm.storage.adapters import read_config
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.models import find_model
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace
from tests.conftest import question_rows
from tests.storage.folders import NOON

SPEC = {
    "model_name": "models/base/tiny",
    "training_type": "ift",
    "dataset": "questions",
    "max_iterations": 4,
    "save_every": 2,
    "learning_rate": 3e-3,
    "lora_rank": 4,
}


def begun(workspace: Workspace, hub_cache: Path, kind: RunKind, values: dict[str, object]) -> Job:
    name = str(values.get("name"))
    if kind.trains:
        spec = parse_spec(values)
        values, name = to_dict(spec), folder_name(spec, max_seq_length=64, created=NOON)
    run = create_run(
        workspace, kind, spec=values, name=name, created=NOON, versions={}, base_fingerprint=None
    )
    return job_of(workspace, hub_cache, run)


def job_of(workspace: Workspace, hub_cache: Path, run: Run, command: str = "run") -> Job:
    place = run_folder(workspace, run)
    log = EventLog(place, utc_now)
    return Job(workspace, run, place, log, hub_cache, control=lambda: command, clock=utc_now)


def published(workspace: Workspace, hub_cache: Path, run: Run, outcome: Outcome) -> Outcome:
    assert outcome.type == "completed"
    best = outcome.values["best_checkpoints"][0]
    wish = {"run": run.id, "iteration": best, "name": "out"}
    return publish(begun(workspace, hub_cache, RunKind.PUBLISH, wish))


def write_preferences(workspace: Workspace) -> None:
    folder = workspace.datasets / "preferences"
    folder.mkdir()
    rows = (
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": "I will not say."}
        for row in question_rows()
    )
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_preference_run_measures_its_base_once_goes_on_after_a_pause_and_is_published(
    workspace: Workspace, hub_cache: Path
) -> None:
    write_preferences(workspace)
    wish = {**SPEC, "dataset": "preferences", "objective": "dpo", "general_dataset": "general"}
    job = begun(workspace, hub_cache, RunKind.IFT, wish)
    assert train(job_of(workspace, hub_cache, job.run, "pause")).type == "paused"
    outcome = train(job)
    events = list(read_events(job.folder))
    first = next(event for event in events if event["type"] == "validation")
    assert first["validation_loss"] == pytest.approx(math.log(2), abs=1e-12)
    assert first["general_validation_loss"] > 2.0
    last = [event for event in events if event["type"] == "validation"][-1]
    assert last["validation_loss"] < first["validation_loss"] - 0.05
    assert last["validation_reward_accuracy"] == 1.0
    done = published(workspace, hub_cache, job.run, outcome)
    told = done.values
    assert told["published_validation_loss"] == pytest.approx(told["checkpoint_validation_loss"], abs=1e-5)
    card = (workspace.published / "out" / "README.md").read_text()
    assert "Preference tuning (DPO)" in card
    assert "Nats per pair" in card
    asked = {"model_name": SPEC["model_name"], "dataset": "preferences", "run": job.run.id}
    base = find_model(workspace, hub_cache, str(SPEC["model_name"]))
    evaluated = held_out(begun(workspace, hub_cache, RunKind.EVALUATE, asked), base, "preferences")
    assert evaluated is not None
    assert evaluated.origin == f"chosen answers in the validation set of {job.run.id}"
    said = load_tokenizer(base.path).decode(evaluated.sequences.tokens)
    assert "is held every" in said
    assert "I will not say" not in said


def test_a_run_begun_with_pissa_is_published_as_it_was_trained_and_leaves_the_base_alone(
    workspace: Workspace, hub_cache: Path
) -> None:
    base = workspace.models / "base" / "tiny" / "model.safetensors"
    before = base.read_bytes()
    job = begun(workspace, hub_cache, RunKind.IFT, {**SPEC, "lora_init": "pissa"})
    outcome = train(job)
    assert read_config(job.folder).rank == 8
    told = published(workspace, hub_cache, job.run, outcome).values
    assert told["published_validation_loss"] == pytest.approx(told["checkpoint_validation_loss"], abs=1e-5)
    assert base.read_bytes() == before
