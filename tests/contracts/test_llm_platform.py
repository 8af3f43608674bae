"""LLM Platform's documented API, example by example, on the shared port and strictly below its prefix."""

from __future__ import annotations

import dataclasses

import pytest

from tests.contracts.living import ROWS, checked, lines, living
from tests.contracts.strictness import mismatch

MODEL = "gpt2"
TIME = "2025-06-24T13:45:30.123456"
HEALTH = {"status": "healthy", "timestamp": TIME, "version": "1.0.0"}
ONE = {
    "id": 1,
    "name": "GPT-2 Base",
    "base_model": "gpt2",
    "status": "AVAILABLE",
    "description": "Standard GPT-2 model for general text generation",
    "model_size": "124M",
    "created_at": TIME,
    "updated_at": TIME,
}
MODELS = {"models": [ONE]}
DETAILS = {**ONE, "parameters": None}
NEW = {
    "name": "My Custom Model",
    "base_model": "gpt2",
    "description": "Custom model for specific use case",
    "model_size": "124M",
}
CREATED = {
    "id": 4,
    "name": "My Custom Model",
    "base_model": "gpt2",
    "status": "AVAILABLE",
    "message": "Model created successfully",
}
QUESTION = {
    "prompt": "The future of artificial intelligence is",
    "temperature": 0.7,
    "max_length": 5,
    "top_p": 0.9,
    "top_k": 50,
}
GENERATED = {
    "text": "The future of artificial intelligence is bright and full of possibilities...",
    "model_id": 1,
    "model_name": "GPT-2 Base",
    "generation_time": 1.23,
    "parameters": {"temperature": 0.7, "max_length": 100, "top_p": 0.9, "top_k": 50},
    "timestamp": TIME,
}
JOB = {
    "id": 1,
    "model_id": 1,
    "job_name": "Demo LoRA Training",
    "status": "RUNNING",
    "progress": 45.5,
    "epochs": 5,
    "current_epoch": 2,
    "learning_rate": 0.0001,
    "batch_size": 8,
    "created_at": TIME,
    "started_at": TIME,
    "completed_at": None,
}
JOBS = {"training_jobs": [{**JOB, "completed_at": TIME}]}
JOB_DETAILS = {
    **JOB,
    "completed_at": TIME,
    "lora_r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "current_loss": 2.45,
    "logs": "Epoch 1/5 completed with loss 3.21\nEpoch 2/5 in progress...",
}
NEW_JOB = {
    "job_name": "My Training Job",
    "epochs": 3,
    "learning_rate": 0.0001,
    "batch_size": 8,
    "lora_r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
}
JOB_CREATED = {
    "id": 4,
    "job_name": "My Training Job",
    "model_id": 1,
    "status": "PENDING",
    "message": "Training job created and started successfully",
}
PAUSED = {"id": 1, "status": "PAUSED", "message": "Training job paused successfully"}
RESUMED = {"id": 1, "status": "RUNNING", "message": "Training job resumed successfully"}
EVALUATION = {
    "id": 1,
    "model_id": 1,
    "eval_name": "Standard Evaluation",
    "perplexity": 39.87,
    "bleu_score": 0.622,
    "rouge_score": 0.76,
    "response_diversity": 0.824,
    "avg_response_length": 68.3,
    "created_at": TIME,
}
EVALUATED = {
    "id": 2,
    "model_id": 1,
    "eval_name": "Custom Evaluation",
    "metrics": {
        "perplexity": 39.87,
        "bleu_score": 0.622,
        "rouge_score": 0.76,
        "response_diversity": 0.824,
        "avg_response_length": 68.3,
    },
    "message": "Evaluation completed successfully",
}
STATISTICS = {
    "total_models": 3,
    "total_training_jobs": 5,
    "running_training_jobs": 1,
    "completed_training_jobs": 2,
    "total_evaluations": 4,
    "total_generations": 15,
    "timestamp": TIME,
}
ERROR = {"error": "Error description"}
STRICT = "/llm-platform"


@pytest.fixture(scope="module")
def server(worker_environment, tmp_path_factory):
    with living(worker_environment, tmp_path_factory.mktemp("llm"), MODEL) as running:
        folder = running.workspace.datasets / "towns"
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text(lines(ROWS))
        yield running


@pytest.fixture(scope="module")
def job(server):
    """A job of the document's that is over, and what starting it answered."""
    strict = dataclasses.replace(server, prefix=STRICT)
    model = checked(strict.get("/api/models"))["models"][0]
    created = checked(strict.post("/api/training", {"model_id": model["id"], **NEW_JOB}))
    found = strict.until(f"/api/training/{created['id']}", lambda a: a["status"] in ("COMPLETED", "FAILED"))
    return created, found


@pytest.fixture(params=["", STRICT])
def port(server, job, request):
    return dataclasses.replace(server, prefix=request.param)


def test_health_and_statistics(port):
    assert mismatch(HEALTH, checked(port.get("/api/health")), strict=port.strict) == []
    found = checked(port.get("/api/statistics"))
    assert mismatch(STATISTICS, found, strict=port.strict) == []
    assert (found["total_training_jobs"], found["completed_training_jobs"]) == (1, 1)


def test_a_model_is_listed_registered_and_asked(port):
    """The document's Python client, and one step more."""
    listed = checked(port.get("/api/models"))
    assert mismatch(MODELS, listed, strict=port.strict) == []
    first = listed["models"][0]
    assert (first["base_model"], first["model_size"]) == (MODEL, "1.7M")
    assert mismatch(DETAILS, checked(port.get(f"/api/models/{first['id']}")), strict=port.strict) == []
    counted = checked(port.get("/api/statistics"))["total_generations"]
    answer = checked(port.post(f"/api/models/{first['id']}/generate", QUESTION))
    assert mismatch(GENERATED, answer, strict=port.strict) == []
    assert (answer["model_id"], answer["parameters"]["max_length"]) == (first["id"], 5)
    assert checked(port.get("/api/statistics"))["total_generations"] == counted + 1


def test_a_registered_model_has_a_number_of_its_own_and_can_be_asked(port):
    created = checked(port.post("/api/models", NEW))
    assert mismatch(CREATED, created, strict=port.strict) == []
    found = checked(port.get(f"/api/models/{created['id']}"))
    assert (found["name"], found["description"]) == (NEW["name"], NEW["description"])
    answer = checked(port.post(f"/api/models/{created['id']}/generate", {"prompt": "Hello", "max_length": 2}))
    assert answer["model_name"] == NEW["name"]
    assert checked(port.web.delete(f"/api/models/{created['id']}"))["status"] == "deleted"
    assert port.get(f"/api/models/{created['id']}").status_code == 404


def test_a_job_runs_to_its_end_on_the_newest_dataset(port, job):
    created, over = job
    assert mismatch(JOB_CREATED, created, strict=True) == []
    assert created["message"].endswith("dataset towns")
    assert over["status"] == "COMPLETED", over
    found = checked(port.get(f"/api/training/{created['id']}"))
    assert mismatch(JOB_DETAILS, found, strict=port.strict) == []
    assert (found["job_name"], found["model_id"]) == (NEW_JOB["job_name"], created["model_id"])
    assert (found["lora_r"], found["lora_alpha"], found["lora_dropout"]) == (8, 32, 0.05)
    assert (found["epochs"], found["current_epoch"], found["progress"]) == (3, 3, 100.0)
    assert "completed" in found["logs"]
    listed = checked(port.get("/api/training"))
    assert mismatch(JOBS, listed, strict=port.strict) == []
    assert created["id"] in [one["id"] for one in listed["training_jobs"]]


def test_a_job_is_paused_and_goes_on_where_it_was(port):
    model = checked(port.get("/api/models"))["models"][0]
    created = checked(port.post("/api/training", {"model_id": model["id"], "epochs": 5000}))
    place = f"/api/training/{created['id']}"
    port.until(place, lambda answer: answer["current_epoch"])
    waiting = checked(port.post("/api/training", {"model_id": model["id"], "job_name": "Second"}))
    assert waiting["status"] == "PENDING"
    checked(port.web.post("/api/training/stop", {"training_id": str(waiting["id"])}))
    paused = checked(port.post(f"{place}/pause"))
    assert mismatch(PAUSED, paused, strict=port.strict) == []
    assert paused == {**PAUSED, "id": created["id"]}
    resumed = checked(port.post(f"{place}/resume"))
    assert mismatch(RESUMED, resumed, strict=port.strict) == []
    assert resumed["status"] == "RUNNING"
    assert port.post(f"{place}/resume").status_code == 409
    checked(port.web.post("/api/training/stop", {"training_id": str(created["id"])}))
    port.until(place, lambda answer: answer["status"] == "STOPPED")
    assert "paused" in checked(port.get(place))["logs"]


def test_a_trained_model_goes_on_learning(port, job):
    created, _ = job
    wish = {"model_id": created["id"], "epochs": 1}
    again = checked(port.post("/api/training", wish))
    found = port.until(f"/api/training/{again['id']}", lambda a: a["status"] in ("COMPLETED", "FAILED"))
    assert (found["status"], found["model_id"], found["lora_r"]) == ("COMPLETED", created["id"], 8), found


def test_a_model_is_evaluated_on_what_is_held_out(port, job):
    folder = port.workspace.datasets / "held"
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", ROWS), ("heldout", ROWS[:3])):
        (folder / f"{name}.jsonl").write_text(lines(rows))
    for model in (job[0]["id"], checked(port.get("/api/models"))["models"][0]["id"]):
        answer = checked(port.post(f"/api/models/{model}/evaluate", {"eval_name": "Custom Evaluation"}))
        assert mismatch(EVALUATED, answer, strict=port.strict) == []
        assert answer["message"].endswith("dataset held")
        assert answer["metrics"]["perplexity"] > 1
        assert 0 <= answer["metrics"]["bleu_score"] <= 1
        found = checked(port.get("/api/evaluations"))
        assert mismatch({"evaluations": [EVALUATION]}, found, strict=port.strict) == []
        first = found["evaluations"][0]
        assert (first["id"], first["model_id"]) == (answer["id"], model)
        assert {name: first[name] for name in answer["metrics"]} == answer["metrics"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/models/7", None, 404),
        ("/api/training/7777", None, 404),
        ("/api/nothing", None, 404),
        ("/api/models/7/generate", {"prompt": "Hello"}, 404),
        ("/api/models", {"name": "x", "base_model": "nobody/nothing"}, 404),
        ("/api/models/7/evaluate", {}, 404),
        ("/api/training", {"model_id": 7}, 404),
        ("/api/training", {}, 400),
        ("/api/training", {"model_id": 7, "epoch": 1}, 400),
    ],
)
def test_errors_have_the_documented_shape(port, path, body, status):
    response = port.get(path) if body is None else port.post(path, body)
    assert response.status_code == status
    assert mismatch(ERROR, response.json(), strict=port.strict) == []
