"""Quantizing and exporting over HTTP: the runs that do it begin, or a field is named."""

from __future__ import annotations

import pytest

from forgellm.storage.runs import find_run
from tests.api.conftest import ask
from tests.jobs.sample_worker import end_all

MODEL = {"model_name": "models/base/tiny"}


@pytest.fixture
def begun(forge, client):
    """(kind, spec) of the run that a request begins; whatever it has begun is ended afterwards."""

    def begin(path, body):
        answer = ask(client, "POST", path, json=body)
        assert answer.status_code == 200, answer.text
        run = find_run(forge.workspace, answer.json["training_id"])
        assert answer.json["name"] == run.spec["name"]
        return run.kind.value, run.spec

    yield begin
    end_all(forge.workspace)


def test_a_model_is_quantized_by_bits_or_by_a_recipe(begun):
    kind, spec = begun("/api/models/quantize", {**MODEL, "bits": 8, "group_size": 32})
    assert (kind, spec["bits"], spec["group_size"], spec["name"]) == ("quantize", 8, 32, "tiny-8bit")
    _, spec = begun("/api/models/quantize", {**MODEL, "recipe": "mixed_3_6", "name": "mixed"})
    assert (spec["bits"], spec["recipe"], spec["name"]) == (None, "mixed_3_6", "mixed")


def test_a_model_is_exported_in_a_format(begun):
    kind, spec = begun("/api/models/export", {**MODEL, "format": "zip", "name": "packed"})
    assert (kind, spec["format"], spec["name"]) == ("export", "zip", "packed")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("quantize", {"bits": 5}, "bits"),
        ("quantize", {"bits": 4, "recipe": "mixed_3_6"}, "recipe"),
        ("quantize", {"group_size": 7}, "group_size"),
        ("export", {"format": "onnx"}, "format"),
        ("export", {"format": "peft"}, "format"),
        ("export", {"format": "zip", "gguf_type": "f16"}, "gguf_type"),
        ("export", {"format": "gguf", "gguf_type": "q9"}, "gguf_type"),
    ],
)
def test_what_cannot_be_made_is_named_before_a_run_begins(client, path, body, field):
    answer = ask(client, "POST", f"/api/models/{path}", json={**MODEL, **body})
    assert answer.status_code == 400
    assert answer.json["details"]["field"] == field


def test_an_adapter_of_no_run_is_not_exported(client):
    answer = ask(client, "POST", "/api/runs/nothing/export", json={})
    assert (answer.status_code, answer.json["error_code"]) == (404, "RUN_NOT_FOUND")
