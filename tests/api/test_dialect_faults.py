"""What lies damaged in the workspace costs a dialect's lists nothing but what it was."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.api.sienn import inference
from forgellm.domain.errors import DiskFull, ModelNotFound
from forgellm.domain.runs import RunKind, RunState
from forgellm.forge import Forge
from forgellm.jobs.job import failure_values
from forgellm.services import decisions, instructions
from forgellm.services.model_host import ModelHost
from forgellm.services.resident import known_names
from forgellm.settings import Settings
from forgellm.storage.events import EventLog
from forgellm.storage.labels import Label, write_label
from forgellm.storage.liveness import state
from forgellm.storage.runs import create_run, list_runs, run_folder
from forgellm.web.app import create_app
from tests.api.conftest import ask

TINY = "models/base/tiny"


@pytest.fixture
def made(forge):
    """Makes a pending run of a kind with any spec: its file may have been written by hand."""

    def make(kind, spec):
        return create_run(
            forge.workspace,
            kind,
            spec=spec,
            name=None,
            created=datetime(2026, 1, 1, tzinfo=timezone.utc),
            versions={},
            base_fingerprint=None,
        )

    return make


@pytest.fixture
def odd_run(made):
    """Makes a training run with some fields of its spec."""

    def make(**spec):
        known = {"model_name": TINY, "training_type": "ift", "dataset": "questions"}
        return made(RunKind.IFT, {**known, **spec})

    return make


def test_a_model_that_cannot_be_used_hides_no_other(forge, client):
    broken = forge.workspace.published / "half"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for path in ("/api/models", "/llm-platform/api/models"):
        answer = ask(client, "GET", path)
        assert answer.status_code == 200, answer.text
        assert "tiny" in answer.text
    assert {"models/base/tiny", "published/half"} <= {known.name for known in known_names(forge)}


@pytest.mark.parametrize("path", ["/api/training", "/v1/fine-tune", "/sienn-ai/api/jobs"])
def test_a_run_whose_files_are_odd_hides_no_other(forge, client, odd_run, path):
    unreadable = run_folder(forge.workspace, odd_run())
    shutil.rmtree(unreadable / "events.jsonl", ignore_errors=True)
    (unreadable / "events.jsonl").mkdir()
    odd_run(epochs="x", learning_rate="x", batch_size=[])
    numbered = run_folder(forge.workspace, odd_run())
    write_label(numbered, Label(tags=("model:" + "9" * 30,)))
    answer = ask(client, "GET", path)
    assert answer.status_code == 200, answer.text


def test_what_a_refused_job_brought_is_not_kept(forge, client):
    before = {path.name for path in forge.workspace.datasets.iterdir()}
    form = {
        "request": json.dumps({"project_name": "mine", "base_model": TINY, "use_pissa": False}),
        "data_file": (io.BytesIO(b'{"neither": "prompt"}\n{"nor": "answer"}\n'), "rows.jsonl"),
    }
    answer = ask(client, "POST", "/v1/fine-tune", data=form)
    assert answer.status_code == 400, answer.text
    assert {path.name for path in forge.workspace.datasets.iterdir()} == before


def test_what_a_project_brings_lies_beside_what_it_brought_in_the_same_second(forge):
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    still = Forge(Settings(workspace=forge.workspace.root, hub_cache=forge.hub_cache), clock=lambda: moment)
    client = Client(create_app(still, access("127.0.0.1", 5002, allow=(), token=None)).wsgi)
    (forge.workspace.datasets / "mine_20260101_000000").mkdir()
    form = {
        "request": json.dumps({"project_name": "mine", "base_model": TINY, "use_pissa": False}),
        "data_file": (io.BytesIO(b'{"neither": "prompt"}\n'), "rows.jsonl"),
    }
    answer = ask(client, "POST", "/v1/fine-tune", data=form)
    assert (answer.status_code, answer.json["details"]["dataset"]) == (400, "mine_20260101_000000_2")


def test_a_form_whose_file_is_missing_is_told_the_name_of_its_field(client):
    wish = json.dumps({"project_name": "mine", "base_model": TINY})
    for form, reason in (({}, "is missing"), ({"data_file": "[]"}, "has no file name")):
        sent = {"request": wish, **form}
        answer = ask(client, "POST", "/v1/fine-tune", data=sent, content_type="multipart/form-data")
        assert (answer.status_code, answer.json["details"]["field"]) == (400, "data_file")
        assert answer.json["error"] == f"the file data_file {reason}"


def test_a_job_that_cannot_be_tested_or_exported_is_told_in_sienns_words(forge, client, odd_run):
    job = f"job_{odd_run().id}"
    with pytest.raises(ModelNotFound, match=f"job {job} has no weights"):
        inference.test_model(ModelHost(forge, None), inference.Question(job_id=job, prompt="When?"))
    wish = {"format": "pytorch", "quantization": "q4_0"}
    refused = ask(client, "POST", f"/sienn-ai/api/export-model/{job}", json=wish)
    assert (refused.status_code, "quantization is for gguf" in refused.json["detail"]) == (400, True)


def test_the_name_of_a_file_means_the_newest_of_that_name(forge, client):
    for count in (1, 2):
        rows = io.BytesIO(count * b'{"prompt": "When?", "completion": "Now."}\n')
        answer = ask(client, "POST", "/modelforge/api/upload_dataset", data={"file": (rows, "twice.jsonl")})
        assert (answer.status_code, answer.json["num_examples"]) == (200, count)
    assert instructions.uploaded(forge, "twice.jsonl") == "twice_2"
    decisions.change(forge, "twice", lambda known: replace(known, excluded={"twice.jsonl": [1]}))
    assert instructions.uploaded(forge, "twice.jsonl") == "twice_2"


def test_principal_factors_that_a_model_has_not_are_refused_where_they_were_asked_for(forge, client):
    wish = {"project_name": "mine", "base_model": TINY, "rank": 64}
    refused = ask(client, "POST", "/v1/fine-tune", json={**wish, "use_pissa": True})
    assert (refused.status_code, refused.json["details"]["field"]) == (400, "use_pissa")
    assert list_runs(forge.workspace) == []
    assert ask(client, "POST", "/v1/fine-tune", json=wish).status_code == 200
    (run,) = list_runs(forge.workspace)
    assert run.spec["lora_init"] == "default"


@pytest.mark.parametrize("wish", [("/api/export", {"format": "zip"}), ("/api/quantize", {"group_size": 32})])
def test_a_model_whose_weights_are_links_is_refused_and_not_half_copied(forge, client, tmp_path, wish):
    path, body = wish
    weights = forge.workspace.base_models / "tiny" / "model.safetensors"
    weights.rename(tmp_path / "model.safetensors")
    weights.symlink_to(tmp_path / "model.safetensors")
    answer = ask(client, "POST", path, json={"model_name": TINY, **body})
    assert (answer.status_code, answer.json["error_code"]) == (422, "INVALID_MODEL")
    assert answer.json["details"]["file"] == "model.safetensors"


def test_a_download_begins_nothing_and_an_export_that_failed_is_told_as_one(forge, client, made, odd_run):
    first, waiting = odd_run(), odd_run()
    manifest = run_folder(forge.workspace, first) / "run.json"
    # As of a run that was made elsewhere: longer than a tag may be.
    job = "ift_" + "elsewhere" * 9
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "id": job}))
    place, exported = "models/published/mine", forge.workspace.exports / "mine"
    publication = made(RunKind.PUBLISH, {"run": job, "iteration": 4})
    say(forge, publication, "completed", published_model_path=place)
    wish = f"/sienn-ai/api/download-model/job_{job}?format=gguf"
    assert ask(client, "GET", wish).status_code == 404
    failed = made(RunKind.EXPORT, {"model_name": place, "format": "gguf"})
    say(forge, failed, "failed", **failure_values(DiskFull("the disk is full")))
    answer = ask(client, "GET", wish)
    assert (answer.status_code, answer.json["error_code"]) == (507, "EXPORT_FAILED")
    done = made(RunKind.EXPORT, {"model_name": place, "format": "gguf"})
    say(forge, done, "completed", export_path="models/exports/mine")
    exported.mkdir(parents=True)
    (exported / "mine.gguf").write_bytes(b"GGUF")
    answer = ask(client, "GET", wish)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert {state(run_folder(forge.workspace, run)) for run in (first, waiting)} == {RunState.PENDING}


def say(forge, run, type, **values):
    EventLog(run_folder(forge.workspace, run), forge.clock).append(type, **values)
