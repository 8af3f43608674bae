"""What lies damaged in the workspace costs a dialect's lists nothing but what it was."""

from __future__ import annotations

import io
import json
import shutil
from datetime import datetime, timezone

import pytest

from forgellm.domain.runs import RunKind
from forgellm.services.resident import known_names
from forgellm.storage.labels import Label, write_label
from forgellm.storage.runs import create_run, run_folder
from tests.api.conftest import ask

TINY = "models/base/tiny"


@pytest.fixture
def odd_run(forge):
    """Makes a pending run with any spec: its file may have been written by hand."""

    def make(**spec):
        wanted = {"model_name": TINY, "training_type": "ift", "dataset": "questions", **spec}
        return create_run(
            forge.workspace,
            RunKind.IFT,
            spec=wanted,
            name=None,
            created=datetime(2026, 1, 1, tzinfo=timezone.utc),
            versions={},
            base_fingerprint=None,
        )

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


@pytest.mark.parametrize("wish", [("/api/export", {"format": "zip"}), ("/api/quantize", {"group_size": 32})])
def test_a_model_whose_weights_are_links_is_refused_and_not_half_copied(forge, client, tmp_path, wish):
    path, body = wish
    weights = forge.workspace.base_models / "tiny" / "model.safetensors"
    weights.rename(tmp_path / "model.safetensors")
    weights.symlink_to(tmp_path / "model.safetensors")
    answer = ask(client, "POST", path, json={"model_name": TINY, **body})
    assert (answer.status_code, answer.json["error_code"]) == (422, "INVALID_MODEL")
    assert answer.json["details"]["file"] == "model.safetensors"
