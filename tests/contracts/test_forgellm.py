"""ForgeLLM's documented API, example by example, on a live server that trains the built-in model.

The model is in the Hub cache under the name that the document uses, so requests are sent as they stand there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forgellm.settings import packaged
from forgellm.storage.workspace import Workspace
from tests.contracts.shape import differences
from tests.jobs.sample_worker import end_all
from tests.servers import Server, running_server

MODEL = "mlx-community/Qwen3-4B-bf16"
START = {
    "model_name": MODEL,
    "training_type": "cpt",
    "dataset": "my_domain",
    "max_iterations": 500,
    "batch_size": 2,
    "learning_rate": 5e-5,
    "lr_schedule": "cosine",
    "data_mixture_ratio": 0.8,
    "overfitting_threshold": 0.1,
    "save_every": 50,
    "weight_decay": 0.01,
    "warmup_steps": 10,
    "grad_checkpoint": True,
}
SOON = {"max_seq_length": 64, "save_every": 10, "validation_tokens": 1024}
STARTED = {
    "success": True,
    "message": "Training started successfully",
    "training_id": "cpt_20250115_103045",
    "output_dir": "models/cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30",
}
STATUS = {
    "success": True,
    "is_training": True,
    "training_type": "cpt",
    "current_iteration": 150,
    "max_iterations": 500,
    "progress_percentage": 30.0,
    "current_loss": 2.345,
    "learning_rate": 0.00004,
    "tokens_per_second": 234.5,
    "memory_usage_gb": 12.3,
    "eta_minutes": 45,
    "output_dir": "models/cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30",
}
STOPPED = {"success": True, "message": "Training stopped successfully"}
MODELS = {
    "success": True,
    "cached_models": [{"name": MODEL, "type": "base", "size_gb": 8.2, "cached": True}],
    "cpt_models": [
        {
            "name": "Qwen3_4B_bf16_lr5e_05_bs2_iter500",
            "path": "cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500",
            "size_gb": 8.5,
            "created_at": "2025-01-15T10:30:00Z",
        }
    ],
    "ift_models": [],
    "published_models": [],
}
CHECKPOINTS = {
    "success": True,
    "checkpoints": [
        {
            "iteration": 300,
            "path": "models/cpt/my_model/0000300_adapters.safetensors",
            "validation_loss": 2.234,
            "rank": 1,
            "is_best": True,
            "size_mb": 45.2,
        }
    ],
    "best_checkpoints": [300, 250, 200],
}
DATASETS = {
    "success": True,
    "datasets": [
        {
            "name": "my_domain",
            "path": "dataset/my_domain",
            "file_count": 15,
            "total_size_mb": 12.5,
            "estimated_tokens": 125000,
        }
    ],
}
DASHBOARD = {
    "success": True,
    "training_data": [
        {
            "iteration": 50,
            "training_loss": 3.456,
            "validation_loss": 3.234,
            "learning_rate": 0.00005,
            "tokens_per_second": 234.5,
            "memory_usage_gb": 12.3,
            "timestamp": "2025-01-15T10:35:00Z",
        }
    ],
    "best_checkpoints": [300, 250, 200],
    "training_config": {"model_name": MODEL, "max_iterations": 500, "batch_size": 2, "learning_rate": 5e-5},
    "performance_metrics": {
        "avg_tokens_per_second": 234.5,
        "peak_memory_gb": 14.2,
        "training_stability": 0.95,
    },
}
REALTIME = {
    "success": True,
    "current_metrics": {
        "iteration": 156,
        "training_loss": 2.345,
        "validation_loss": 2.456,
        "learning_rate": 0.000048,
        "tokens_per_second": 245.2,
        "memory_usage_gb": 12.8,
        "gpu_utilization": 0.87,
        "timestamp": "2025-01-15T10:40:00Z",
    },
    "is_training": True,
}
PUBLISHED = {
    "success": True,
    "message": "Checkpoint published successfully",
    "published_model_path": "models/published/Qwen3_4B_bf16_lr5e_05_bs2_iter500_0000300_20250115_104500",
    "model_name": "published/Qwen3_4B_bf16_lr5e_05_bs2_iter500_0000300_20250115_104500",
    "dashboard_path": "models/published/Qwen3_…/training_dashboard.png",
    "readme_path": "models/published/Qwen3_…/README.md",
}
HEALTH = {
    "success": True,
    "status": "healthy",
    "components": {"web_server": "running", "model_server": "running", "training_pipeline": "idle"},
    "system_info": {
        "memory_total_gb": 32.0,
        "memory_available_gb": 18.5,
        "disk_free_gb": 245.8,
        "python_version": "3.11.5",
        "mlx_version": "0.15.0",
    },
}
BROWSE = {
    "success": True,
    "path": "dataset",
    "directories": [{"name": "my_domain", "type": "directory", "file_count": 15, "size_mb": 12.5}],
    "files": [{"name": "readme.txt", "type": "file", "size_mb": 0.1}],
}
ERROR = {
    "success": False,
    "error": "Model not found",
    "error_code": "MODEL_NOT_FOUND",
    "details": {"searched_paths": ["~/.cache/huggingface/hub/", "models/base/"]},
    "suggestion": "Download the model using: huggingface-cli download invalid-model",
}


@dataclass(frozen=True)
class Session:
    """A live server, and what it answered while it trained."""

    server: Server
    root: Path
    idle: dict[str, object]
    started: dict[str, object]
    stopped: dict[str, object]
    trained: dict[str, object]
    training: dict[str, object]
    busy: dict[str, object]
    realtime: dict[str, object]


@pytest.fixture(scope="module")
def environment(worker_environment, tmp_path_factory) -> dict[str, str]:
    """A Hub cache that holds the built-in model under the document's name."""
    cache = tmp_path_factory.mktemp("hub")
    model = cache / ("models--" + MODEL.replace("/", "--"))
    revision = "0" * 40
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    shutil.copytree(packaged("assets") / "lough-tiny", model / "snapshots" / revision)
    return {**worker_environment, "HF_HUB_CACHE": str(cache)}


@pytest.fixture(scope="module")
def session(environment, tmp_path_factory) -> Iterator[Session]:
    """The document's journey: start and stop as it stands there; then once more, with short sequences and
    checkpoints that come soon: start, look, be refused a second start, stop once there are two checkpoints.
    """
    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(packaged("dataset") / "tamberlough", root / "dataset" / "my_domain")
    (root / "dataset" / "readme.txt").write_text("What lies here.\n")
    with running_server(root, environment) as server:
        idle = server.get("/api/training/status").json()
        started = server.post("/api/training/start", START).json()
        stopped = server.post("/api/training/stop").json()
        server.until("/api/training/status", lambda a: not a["is_training"])
        trained = server.post("/api/training/start", {**START, **SOON}).json()
        training = server.until("/api/training/status", lambda a: a["current_iteration"] >= 20)
        busy = server.post("/api/training/start", START)
        realtime = server.get("/api/dashboard/realtime").json()
        server.until("/api/checkpoints", lambda a: len(a["checkpoints"]) >= 2)
        server.post("/api/training/stop")
        server.until("/api/training/status", lambda a: not a["is_training"])
        refused = {"status": busy.status_code, **busy.json()}
        yield Session(server, root, idle, started, stopped, trained, training, refused, realtime)
    end_all(Workspace.open(root))


def test_nothing_trains_before_the_first_start(session):
    assert differences(STATUS, session.idle) == []
    assert session.idle["is_training"] is False


def test_start(session):
    assert differences(STARTED, session.started) == []
    assert session.started["message"] == "Training started successfully"
    assert session.started["training_id"].startswith("cpt_")
    assert session.started["output_dir"].startswith("models/cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq")
    assert session.started["notes"] == [
        "no general_dataset was named and there is no dataset/general: the sample everyday is mixed in"
    ]


def test_status(session):
    assert differences(STATUS, session.training) == []
    assert session.training["is_training"] is True
    assert session.training["max_iterations"] == 500
    assert session.training["output_dir"] == session.trained["output_dir"]
    assert 0 < session.training["current_loss"] < 10
    assert session.training["progress_percentage"] == pytest.approx(
        session.training["current_iteration"] / 5, abs=0.1
    )
    assert session.training["eta_minutes"] is not None


def test_a_second_start_is_refused(session):
    assert session.busy["status"] == 409
    assert session.busy["error_code"] == "RUN_CONFLICT"
    assert session.busy["details"]["run"] == session.trained["training_id"]


def test_stop(session):
    assert differences(STOPPED, session.stopped) == []
    assert session.server.get("/api/training/status").json()["state"] == "stopped"
    again = session.server.post("/api/training/stop")
    assert (again.status_code, again.json()["error_code"]) == (409, "RUN_CONFLICT")


def test_models(session):
    answer = session.server.get("/api/models").json()
    assert differences(MODELS, answer) == []
    assert [model["name"] for model in answer["cached_models"]] == [MODEL]
    assert [f"models/{model['path']}" for model in answer["cpt_models"]] == [session.trained["output_dir"]]


def test_checkpoints(session):
    answer = session.server.get("/api/checkpoints").json()
    assert differences(CHECKPOINTS, answer) == []
    losses = [checkpoint["validation_loss"] for checkpoint in answer["checkpoints"]]
    assert losses == sorted(losses)
    assert [checkpoint["rank"] for checkpoint in answer["checkpoints"]] == list(range(1, len(losses) + 1))
    assert answer["best_checkpoints"] == [c["iteration"] for c in answer["checkpoints"]][:3]
    assert answer["checkpoints"][0]["is_best"] is True
    assert all((session.root / c["path"]).is_file() for c in answer["checkpoints"])


def test_dataset_info(session):
    answer = session.server.get("/api/dataset/info").json()
    assert differences(DATASETS, answer) == []
    assert [dataset["name"] for dataset in answer["datasets"]] == ["everyday", "my_domain"]


def test_dashboard_data(session):
    answer = session.server.get(
        "/api/dashboard/data", params={"training_dir": session.trained["output_dir"]}
    ).json()
    assert differences(DASHBOARD, answer) == []
    iterations = [row["iteration"] for row in answer["training_data"]]
    assert iterations == list(range(len(iterations)))
    assert answer["training_config"]["learning_rate"] == 5e-5
    assert 0 < answer["performance_metrics"]["training_stability"] <= 1


def test_dashboard_realtime(session):
    assert differences(REALTIME, session.realtime) == []
    assert session.realtime["is_training"] is True
    assert session.realtime["current_metrics"]["gpu_utilization"] is None
    assert session.realtime["not_measured"]["gpu_utilization"]


def test_publish_checkpoint(session):
    best = session.server.get("/api/checkpoints").json()["checkpoints"][0]
    response = session.server.post(
        "/api/training/publish_checkpoint",
        {"checkpoint_path": best["path"], "training_dir": session.trained["output_dir"]},
    )
    answer = response.json()
    assert (response.status_code, differences(PUBLISHED, answer)) == (200, [])
    folder = session.root / answer["published_model_path"]
    assert (folder / "model.safetensors").is_file()
    assert (session.root / answer["dashboard_path"]).read_bytes().startswith(b"\x89PNG")
    assert "validation loss" in (session.root / answer["readme_path"]).read_text().lower()
    listed = session.server.get("/api/models").json()["published_models"]
    assert [model["path"] for model in listed] == [answer["model_name"]]


def test_health(session):
    answer = session.server.get("/api/health").json()
    assert differences(HEALTH, answer) == []
    assert answer["status"] == "healthy"
    assert answer["components"]["web_server"] == "running"
    assert answer["components"]["training_pipeline"] == "idle"


def test_filesystem_browse(session):
    answer = session.server.get("/api/filesystem/browse", params={"path": "dataset"}).json()
    assert differences(BROWSE, answer) == []
    assert [entry["name"] for entry in answer["directories"]] == ["everyday", "my_domain"]
    assert [entry["name"] for entry in answer["files"]] == ["readme.txt"]


def test_errors(session):
    response = session.server.post("/api/training/start", {**START, "model_name": "invalid-model"})
    assert response.status_code == 404
    assert differences(ERROR, response.json()) == []
    assert response.json()["error_code"] == "MODEL_NOT_FOUND"
    assert "models pull invalid-model" in response.json()["suggestion"]


def test_a_wrong_parameter_is_a_bad_request(session):
    response = session.server.post("/api/training/start", {**START, "learning_rate": -1})
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_FIELD")
