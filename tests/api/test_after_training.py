"""Evaluating, quantizing and exporting over HTTP: a run each, or a refusal that names what is wrong."""

from __future__ import annotations

import pytest

from forgellm.services import runs
from forgellm.storage.runs import find_run, list_runs
from tests.api.conftest import ask
from tests.api.test_routes import assert_error
from tests.services.conftest import wait_for

TINY = "models/base/tiny"


def test_each_starts_a_run_of_its_kind(client, forge):
    asked = [
        ("/api/export", {"model_name": TINY, "format": "zip"}, {"export_path", "files"}),
        ("/api/quantize", {"model_name": TINY, "group_size": 32}, {"bits_per_weight", "model_name"}),
        ("/api/evaluate", {"model_name": TINY, "dataset": "domain"}, {"metrics"}),
    ]
    answers = [ask(client, "POST", path, json=body).get_json() for path, body, _ in asked]
    for answer, (path, _, keys) in zip(answers, asked, strict=True):
        assert answer["success"] is True
        run = find_run(forge.workspace, answer["run_id"])
        assert f"/api/{run.kind.value}" == path
        assert (answer["run_number"], answer["folder"]) == (run.number, run.folder)
        assert wait_for(forge, run)[-1] == "completed", runs.status(forge, run).failure
        end = ask(client, "GET", f"/api/runs/{run.id}").get_json()["last_event"]
        assert end.keys() >= keys


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/export", {"model_name": TINY, "run": "1"}, 400, "INVALID_FIELD"),
        ("/api/export", {"run": "1"}, 400, "INVALID_FIELD"),
        ("/api/export", {"model_name": TINY, "format": "peft"}, 400, "INVALID_FIELD"),
        ("/api/export", {"model_name": TINY, "gguf_type": "q4_k_m"}, 400, "INVALID_FIELD"),
        ("/api/export", {"model_name": TINY, "name": "../out"}, 400, "INVALID_FIELD"),
        ("/api/export", {"run": "9", "format": "peft"}, 404, "RUN_NOT_FOUND"),
        ("/api/quantize", {"model_name": TINY, "bits": 5}, 400, "INVALID_FIELD"),
        ("/api/quantize", {"model_name": TINY, "bits": 4, "recipe": "mixed_3_6"}, 400, "INVALID_FIELD"),
        ("/api/quantize", {"model_name": "models/base/none"}, 404, "MODEL_NOT_FOUND"),
        ("/api/evaluate", {"model_name": TINY}, 400, "INVALID_FIELD"),
        ("/api/evaluate", {"model_name": TINY, "dataset": "none"}, 404, "DATASET_NOT_FOUND"),
        ("/api/evaluate", {"model_name": TINY, "dataset": "domain", "limit": 0}, 400, "INVALID_FIELD"),
    ],
)
def test_what_cannot_be_done_starts_no_run(client, forge, path, body, status, code):
    answer = ask(client, "POST", path, json=body)
    assert_error(answer, status, code)
    assert list_runs(forge.workspace) == []


def test_what_would_be_pushed_is_shown_and_nothing_starts(client, forge, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    wish = {"model_name": TINY, "repo_id": "somebody/tiny"}
    assert_error(ask(client, "POST", "/api/push/preview", json=wish), 422, "INVALID_MODEL")
    card = "---\nlibrary_name: mlx\n---\n\n# Tiny\n"
    (forge.workspace.root / TINY / "README.md").write_text(card)
    shown = ask(client, "POST", "/api/push/preview", json=wish).get_json()
    assert (shown["private"], shown["card"]) == (True, card)
    assert {"README.md", "model.safetensors"} <= {file["path"] for file in shown["files"]}
    assert_error(ask(client, "POST", "/api/push", json=wish), 400, "NO_HUB_TOKEN")
    assert_error(ask(client, "POST", "/api/push", json={**wish, "token": "hf_x"}), 400, "INVALID_FIELD")
    assert_error(ask(client, "POST", "/api/push", json={**wish, "repo_id": "tiny"}), 400, "INVALID_FIELD")
    assert list_runs(forge.workspace) == []
