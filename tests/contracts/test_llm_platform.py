"""LLM Platform's documented API, example by example, on the shared port and strictly below its prefix."""

from __future__ import annotations

import dataclasses

import pytest

from forgellm.domain.runs import RunKind
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.labels import Label, write_label
from forgellm.storage.runs import create_run, find_run, run_folder
from tests.contracts.documents.llm_platform import (
    CREATED,
    DETAILS,
    DOCUMENT,
    ERROR,
    EVALUATED,
    EVALUATION,
    GENERATED,
    HEALTH,
    JOB_CREATED,
    JOB_DETAILS,
    JOBS,
    MODEL,
    MODELS,
    NEW,
    NEW_EVALUATION,
    NEW_JOB,
    PAUSED,
    QUESTION,
    RESUMED,
    STATISTICS,
)
from tests.contracts.living import ROWS, checked, lines, living
from tests.contracts.strictness import mismatch

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
    created = checked(port.post("/api/training", {"model_id": model["id"], **NEW_JOB, "epochs": 5000}))
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


def test_a_trained_model_goes_on_learning(server, job):
    created, _ = job
    port = dataclasses.replace(server, prefix=STRICT)
    wish = {"model_id": created["id"], "epochs": 1}
    again = checked(port.post("/api/training", wish))
    found = port.until(f"/api/training/{again['id']}", lambda a: a["status"] in ("COMPLETED", "FAILED"))
    assert (found["status"], found["model_id"], found["lora_r"]) == ("COMPLETED", created["id"], 8), found


def test_a_model_is_evaluated_on_what_is_held_out(port, job):
    folder = port.workspace.datasets / "held"
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", ROWS), ("heldout", ROWS[:3])):
        (folder / f"{name}.jsonl").write_text(lines(rows))
    # As a client leaves it that has asked for it and lost its patience; it is not begun yet.
    waiting = evaluation_under_way(port.workspace, job[0]["id"])
    for model in (job[0]["id"], checked(port.get("/api/models"))["models"][0]["id"]):
        answer = checked(port.post(f"/api/models/{model}/evaluate", NEW_EVALUATION))
        assert mismatch(EVALUATED, answer, strict=port.strict) == []
        assert answer["message"].endswith("dataset held")
        assert (answer["id"] == waiting) is (model == job[0]["id"])
        assert answer["metrics"]["perplexity"] > 1
        assert 0 <= answer["metrics"]["bleu_score"] <= 1
        found = checked(port.get("/api/evaluations"))
        assert mismatch({"evaluations": [EVALUATION]}, found, strict=port.strict) == []
        first = found["evaluations"][0]
        assert (first["id"], first["model_id"]) == (answer["id"], model)
        assert {name: first[name] for name in answer["metrics"]} == answer["metrics"]


def evaluation_under_way(workspace, number):
    """The number of an evaluation of that run's model that waits to be begun."""
    source = find_run(workspace, str(number))
    best = read_checkpoints(run_folder(workspace, source))[0]
    spec = {"model_name": MODEL, "dataset": "held", "run": source.id, "iteration": best.iteration}
    run = create_run(
        workspace,
        RunKind.EVALUATE,
        spec=spec,
        name=None,
        created=source.created,
        versions={},
        base_fingerprint=None,
    )
    label = Label(name=NEW_EVALUATION["eval_name"], tags=(f"model:{number}",))
    write_label(run_folder(workspace, run), label)
    return run.number


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


def test_the_table_of_endpoints_says_what_was_seen(server, told):
    told(DOCUMENT, server.seen)
