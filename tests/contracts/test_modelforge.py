"""ModelForge's documented API, example by example, on the shared port and strictly below its prefix."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing

import pytest
import websocket

from tests.contracts.documents.modelforge import (
    DATASETS,
    DELETED,
    DETAILS,
    DOCUMENT,
    ERROR,
    GENERATED,
    HEALTH,
    INFO,
    MODEL,
    MODELS,
    QUESTION,
    START,
    STARTED,
    STATUS,
    STOPPED,
    UPLOADED,
)
from tests.contracts.living import ROWS, checked, lines, living
from tests.contracts.sightings import Sighting
from tests.contracts.strictness import mismatch


@pytest.fixture(scope="module")
def server(worker_environment, tmp_path_factory):
    with living(worker_environment, tmp_path_factory.mktemp("modelforge"), MODEL) as running:
        yield running


@pytest.fixture(scope="module")
def trained(server):
    """The document's client: it uploads, starts, and asks how it is until it is over."""
    answers = {"idle": checked(server.get("/api/training_status"))}
    answers["uploaded"] = checked(server.upload("/api/upload_dataset", "dataset.jsonl", lines(ROWS)))
    answers["started"] = checked(server.post("/api/start_training", START))
    answers["status"] = server.until("/api/training_status", lambda a: a["status"] == "completed")
    return answers


@pytest.fixture(params=["", "/modelforge"])
def port(server, trained, request):
    return dataclasses.replace(server, prefix=request.param)


def test_info_and_health(port):
    assert mismatch(INFO, checked(port.get("/api/info")), strict=port.strict) == []
    assert mismatch(HEALTH, checked(port.get("/api/health")), strict=port.strict) == []


def test_a_training_runs_to_its_end(port, trained):
    assert mismatch(STATUS, trained["idle"], strict=True) == []
    assert trained["idle"]["status"] == "idle"
    assert mismatch(STARTED, trained["started"], strict=True) == []
    assert trained["started"]["message"] == "Training started successfully on dataset dataset"
    status = checked(port.get("/api/training_status"))
    assert mismatch(STATUS, status, strict=port.strict) == []
    assert (status["status"], status["progress"]) == ("completed", 100.0)
    assert (status["current_epoch"], status["total_epochs"]) == (3, 3)
    assert status["current_step"] == status["total_steps"] > 0
    assert isinstance(status["loss"], float)


def test_preferences_are_learned_by_dpo(server, trained):
    port = dataclasses.replace(server, prefix="/modelforge")
    rows = [{"prompt": r["instruction"], "chosen": r["output"], "rejected": "No."} for r in ROWS]
    folder = port.workspace.datasets / "liked"
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text(lines(rows))
    refused = port.post("/api/start_training", {**START, "strategy": "dpo"})
    assert refused.status_code == 400
    wish = {"model_name": MODEL, "strategy": "dpo", "num_train_epochs": 1, "per_device_train_batch_size": 2}
    started = checked(port.post("/api/start_training", wish))
    assert started["message"] == "Training started successfully on dataset liked"
    status = port.until("/api/training_status", lambda a: a["status"] in ("completed", "failed"))
    assert status["status"] == "completed"
    number = int(started["job_id"].removeprefix("train_"))
    found = checked(port.get(f"/api/models/{number}"))
    assert (found["strategy"], found["metrics"]["perplexity"]) == ("dpo", None)
    assert found["metrics"]["final_loss"] > 0
    assert checked(port.delete(f"/api/models/{number}")) == DELETED


def test_the_trained_model_is_listed_and_described(port):
    listed = checked(port.get("/api/models" if port.strict else "/api/models?trained=1"))
    assert mismatch(MODELS, listed, strict=port.strict) == []
    (model,) = listed["models"]
    found = checked(port.get(f"/api/models/{model['id']}"))
    assert mismatch(DETAILS, found, strict=port.strict) == []
    assert (found["provider"], found["strategy"], found["base_model"]) == ("unsloth", "sft", MODEL)
    assert found["training_params"] == {"num_epochs": 3, "batch_size": 4, "learning_rate": 0.0002}
    assert found["metrics"]["perplexity"] > 1


def test_the_shared_list_has_the_base_model_first_and_it_can_be_asked(server, trained):
    first = checked(server.get("/api/models"))["models"][0]
    assert first["base_model"] == MODEL
    wish = {"model_id": first["id"], "prompt": "Hello", "max_new_tokens": 3}
    assert checked(server.post("/api/playground/generate", wish))["tokens_generated"] <= 3


def test_the_playground_asks_the_trained_model(port):
    models = checked(port.get("/api/models" if port.strict else "/api/models?trained=1"))["models"]
    answer = checked(port.post("/api/playground/generate", {**QUESTION, "model_id": models[0]["id"]}))
    assert mismatch(GENERATED, answer, strict=port.strict) == []
    assert 0 < answer["tokens_generated"] <= 5


def test_datasets(port, trained):
    assert mismatch(UPLOADED, trained["uploaded"], strict=True) == []
    assert trained["uploaded"]["num_examples"] == len(ROWS)
    listed = checked(port.get("/api/datasets"))
    assert mismatch(DATASETS, listed, strict=port.strict) == []
    assert "dataset.jsonl" in [one["filename"] for one in listed["datasets"]]


def test_an_upload_below_the_prefix_is_a_dataset_as_well(server):
    port = dataclasses.replace(server, prefix="/modelforge")
    answer = checked(port.upload("/api/upload_dataset", "strict.jsonl", lines(ROWS)))
    assert mismatch(UPLOADED, answer, strict=True) == []


def test_a_second_training_is_refused_and_the_first_can_be_stopped_and_watched(port):
    long = {**START, "num_train_epochs": 5000, "dataset": "dataset.jsonl"}
    assert mismatch(STARTED, checked(port.post("/api/start_training", long)), strict=port.strict) == []
    with_websocket = port.web.url.replace("http", "ws") + port.prefix + "/ws/training"
    with closing(websocket.create_connection(with_websocket, timeout=120)) as client:
        message = json.loads(client.recv())
        assert mismatch(STATUS, message, strict=True) == []
        while not message["current_step"]:
            message = json.loads(client.recv())
        port.seen.append(Sighting(port.prefix, "WebSocket", "/ws/training", frozenset(), 101, message))
        # Nobody listens there, and what is said would pile up.
        client.send("anything")
        while client.recv():
            pass
    refused = port.post("/api/start_training", long)
    assert refused.status_code == 409
    assert mismatch(ERROR, refused.json(), strict=port.strict) == []
    stopped = checked(port.post("/api/stop_training"))
    assert mismatch(STOPPED, stopped, strict=port.strict) == []
    assert checked(port.get("/api/training_status"))["status"] == "stopped"
    assert port.post("/api/stop_training").status_code == 409


def test_a_model_that_is_deleted_is_gone(port):
    models = checked(port.get("/api/models" if port.strict else "/api/models?trained=1"))["models"]
    last = models[0]["id"]
    assert checked(port.delete(f"/api/models/{last}")) == DELETED
    assert port.get(f"/api/models/{last}").status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"strategy": "rlhf"}, 501),
        ({"strategy": "qlora"}, 400),
        ({"task": "summarization"}, 400),
        ({"task": "extractive-question-answering"}, 400),
        ({"task": "dreaming"}, 400),
        ({"model_name": "nobody/nothing"}, 404),
        ({"dataset": "nothing.jsonl"}, 404),
        ({"target_modules": ["q_proj", "no_such"]}, 400),
        ({"no_such_field": 1}, 400),
    ],
)
def test_what_cannot_be_is_refused_in_the_documented_shape(port, change, status):
    response = port.post("/api/start_training", {**START, **change})
    assert response.status_code == response.json()["status_code"] == status
    assert mismatch(ERROR, response.json(), strict=port.strict) == []
    if status == 501:
        told = response.json()["detail" if port.strict else "suggestion"]
        assert "dpo learns from preferences" in told


def test_an_unknown_path_has_the_documented_shape(port):
    response = port.get("/api/nothing")
    assert (response.status_code, mismatch(ERROR, response.json(), strict=port.strict)) == (404, [])


def test_the_table_of_endpoints_says_what_was_seen(server, told):
    told(DOCUMENT, server.seen)
