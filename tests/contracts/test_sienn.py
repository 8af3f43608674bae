"""Sienn-AI's documented API, example by example, on the shared port and strictly below its prefix."""

from __future__ import annotations

import dataclasses
import zipfile
from io import BytesIO

import pytest

from tests.contracts.documents.sienn import (
    CONFIG,
    DETAILED,
    DOCUMENT,
    ERROR,
    EXPORTING,
    FORMATS,
    GENERATED,
    HEALTH,
    JOBS,
    METRICS,
    MODEL,
    QUESTION,
    START,
    STARTED,
    STATUS,
    UPLOADED,
)
from tests.contracts.living import ROWS, checked, living
from tests.contracts.strictness import mismatch

TABLE = "instruction,input,output\n" + "".join(f'"{r["instruction"]}",,"{r["output"]}"\n' for r in ROWS)


@pytest.fixture(scope="module")
def server(worker_environment, tmp_path_factory):
    with living(worker_environment, tmp_path_factory.mktemp("sienn"), MODEL) as running:
        yield running


@pytest.fixture(scope="module")
def workflow(server):
    """The document's: upload, start, ask until it is completed; a second job waits behind the first."""
    answers = {
        "uploaded": checked(
            server.upload("/api/upload-dataset", "training_data.csv", TABLE, name="My Training Dataset")
        )
    }
    wish = {**START, "dataset_id": answers["uploaded"]["dataset_id"]}
    answers["started"] = checked(server.post("/api/start-finetuning", wish))
    strict = dataclasses.replace(server, prefix="/sienn-ai")
    wish = {**wish, "config": {**CONFIG, "num_epochs": 1}}
    answers["queued"] = checked(strict.post("/api/start-finetuning", wish))
    for name in ("started", "queued"):
        path = f"/api/training-status/{answers[name]['job_id']}"
        answers[f"{name} over"] = strict.until(path, lambda a: a["status"] in ("completed", "failed"))
    return answers


@pytest.fixture(params=["", "/sienn-ai"])
def port(server, workflow, request):
    return dataclasses.replace(server, prefix=request.param)


def test_health_and_metrics(port):
    assert mismatch(HEALTH, checked(port.get("/health")), strict=port.strict) == []
    found = checked(port.get("/api/health/detailed"))
    assert mismatch(DETAILED, found, strict=port.strict) == []
    assert 0 < found["system"]["memory_percent"] <= 100
    counted = checked(port.get("/api/metrics"))
    assert mismatch(METRICS, counted, strict=port.strict) == []
    assert (counted["total_jobs"], counted["completed_jobs"], counted["active_jobs"]) == (2, 2, 0)
    assert (counted["total_datasets"], counted["total_models"]) == (1, 2)


def test_an_upload_has_the_documented_answer(workflow):
    assert mismatch(UPLOADED, workflow["uploaded"], strict=True) == []
    assert workflow["uploaded"]["dataset_id"] == "ds_My_Training_Dataset"
    assert workflow["uploaded"]["total_samples"] == len(ROWS)


def test_an_upload_below_the_prefix_is_a_dataset_as_well(server, workflow):
    port = dataclasses.replace(server, prefix="/sienn-ai")
    answer = checked(port.upload("/api/upload-dataset", "other.csv", TABLE, name="other"))
    assert mismatch(UPLOADED, answer, strict=True) == []
    assert checked(server.delete("/api/datasets/other"))["success"] is True


def test_a_job_is_queued_and_runs_to_its_end(workflow):
    for name in ("started", "queued"):
        assert mismatch(STARTED, workflow[name], strict=True) == []
        assert (
            workflow[name]["message"] == "Fine-tuning job queued successfully on dataset My_Training_Dataset"
        )
        assert workflow[f"{name} over"]["status"] == "completed", workflow[f"{name} over"]
    assert workflow["queued"]["status"] == "pending"


def test_the_settings_reach_the_engine_in_its_own_words(server, workflow):
    run = checked(server.get(f"/api/runs/{workflow['started']['job_id'].removeprefix('job_')}"))
    spec = run["spec"]
    assert (spec["lora_rank"], spec["lora_scale"], spec["epochs"]) == (32, 2.0, 3)
    assert sorted(spec["lora_keys"]) == [
        "mlp.down_proj",
        *(f"self_attn.{name}_proj" for name in ("k", "o", "q", "v")),
    ]


def test_the_status_of_a_job(port, workflow):
    found = checked(port.get(f"/api/training-status/{workflow['started']['job_id']}"))
    assert mismatch(STATUS, found, strict=port.strict) == []
    assert (found["progress"], found["current_epoch"], found["total_epochs"]) == (100.0, 3, 3)
    assert found["metrics"]["train_loss"] > 0
    assert found["metrics"]["eval_loss"] > 0


def test_jobs_are_listed_filtered_and_paged(port, workflow):
    listed = checked(port.get("/api/jobs"))
    assert mismatch(JOBS, listed, strict=port.strict) == []
    ids = [workflow["queued"]["job_id"], workflow["started"]["job_id"]]
    assert [job["job_id"] for job in listed["jobs"]] == ids
    page = checked(port.get("/api/jobs?status=completed&limit=1&offset=1"))
    assert [job["job_id"] for job in page["jobs"]] == ids[1:]
    assert (page["total"], page["limit"], page["offset"]) == (2, 1, 1)
    assert checked(port.get("/api/jobs?status=failed"))["jobs"] == []


def test_a_model_is_tested(port, workflow):
    wish = {**QUESTION, "job_id": workflow["started"]["job_id"]}
    answer = checked(port.post("/api/test-model", wish))
    assert mismatch(GENERATED, answer, strict=port.strict) == []
    assert (answer["model_id"], answer["prompt"]) == (wish["job_id"], wish["prompt"])
    assert 0 < answer["tokens_generated"] <= 5


@pytest.mark.parametrize(
    ("form", "quantization", "files"),
    [
        ("pytorch", None, {"model.safetensors", "tokenizer.json"}),
        ("gguf", "q8_0", set()),
        ("ollama", None, {"Modelfile"}),
    ],
)
def test_a_model_is_exported_and_downloaded_as_an_archive(port, workflow, form, quantization, files):
    job = workflow["started"]["job_id"]
    wish = {"format": form} if quantization is None else {"format": form, "quantization": quantization}
    answer = checked(port.post(f"/api/export-model/{job}", wish))
    assert mismatch(EXPORTING, answer, strict=port.strict) == []
    assert answer["download_url"] == f"/api/download-model/{job}?format={form}"
    archive = port.get(answer["download_url"])
    assert archive.status_code == 200, archive.text
    assert archive.headers["Content-Type"] == "application/zip"
    assert archive.headers["Content-Disposition"].startswith("attachment; filename=")
    with zipfile.ZipFile(BytesIO(archive.content)) as opened:
        assert opened.testzip() is None
        names = {name.partition("/")[2] for name in opened.namelist()}
        weights = next(i for i in opened.infolist() if i.filename.endswith((".safetensors", ".gguf")))
    assert files <= names
    assert any(name.endswith(".gguf") for name in names) is (form != "pytorch")
    assert weights.file_size > 1_000_000


def test_export_formats(port):
    assert checked(port.get("/api/export-formats")) == FORMATS


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/training-status/job_nothing", None, 404, "JOB_NOT_FOUND"),
        ("/api/test-model", {"job_id": "job_nothing", "prompt": "Hello"}, 404, "JOB_NOT_FOUND"),
        ("/api/start-finetuning", {"dataset_id": "ds_nothing", "model_name": MODEL}, 404, "DATASET_INVALID"),
        ("/api/start-finetuning", {"model_name": "nobody/nothing"}, 404, "MODEL_NOT_FOUND"),
        ("/api/start-finetuning", {"model_name": MODEL, "config": {"lora": 1}}, 400, "INVALID_FIELD"),
        ("/api/export-model/job_nothing", {"format": "gguf"}, 404, "JOB_NOT_FOUND"),
        ("/api/download-model/job_nothing", None, 404, "JOB_NOT_FOUND"),
        ("/api/jobs?status=sleeping", None, 400, "INVALID_FIELD"),
        ("/api/nothing", None, 404, "NOT_FOUND"),
    ],
)
def test_errors_have_the_documented_shape_and_codes(port, path, body, status, code):
    response = port.get(path) if body is None else port.post(path, body)
    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert mismatch(ERROR, response.json(), strict=port.strict) == []


def test_a_running_job_says_when_it_will_be_over(server, workflow):
    wish = {"model_name": MODEL, "config": {"num_epochs": 9000}}
    job = checked(server.post("/api/start-finetuning", wish))["job_id"]
    for prefix in ("", "/sienn-ai"):
        port = dataclasses.replace(server, prefix=prefix)
        found = port.until(f"/api/training-status/{job}", lambda a: a["estimated_completion"])
        assert (found["status"], mismatch(STATUS, found, strict=port.strict)) == ("running", [])
        assert found["started_at"] <= found["updated_at"] < found["estimated_completion"]
    checked(server.web.post("/api/training/stop"))


def test_the_table_of_endpoints_says_what_was_seen(server, told):
    told(DOCUMENT, server.seen)
