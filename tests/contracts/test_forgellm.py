"""ForgeLLM's documented API, example by example, on a live server that trains the built-in model.

The model is in the Hub cache under the name that the document uses, so requests are sent as they stand there.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import socketio

from forgellm.settings import packaged
from forgellm.storage.workspace import Workspace
from tests.contracts.documents.forgellm import (
    BROWSE,
    CHECKPOINTS,
    DASHBOARD,
    DATASETS,
    DOCUMENT,
    ERROR,
    HEALTH,
    MODEL,
    MODELS,
    PUBLISHED,
    REALTIME,
    START,
    STARTED,
    STATUS,
    STOPPED,
)
from tests.contracts.living import Living
from tests.contracts.shape import differences
from tests.contracts.sightings import Sighting
from tests.jobs.sample_worker import end_all
from tests.servers import running_server

SOON = {"max_seq_length": 64, "save_every": 10, "validation_tokens": 1024}


@dataclass(frozen=True)
class Session:
    """A live server, and what it answered while it trained."""

    server: Living
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
    with running_server(root, environment) as web:
        server = Living(web, Workspace.open(root))
        idle = server.get("/api/training/status").json()
        started = server.post("/api/training/start", START).json()
        stopped = server.post("/api/training/stop").json()
        server.until("/api/training/status", lambda a: not a["is_training"])
        trained = server.post("/api/training/start", {**START, **SOON}).json()
        with listening(server, trained["training_id"]):
            training = server.until("/api/training/status", lambda a: a["current_iteration"] >= 20)
            busy = server.post("/api/training/start", START)
            realtime = server.get("/api/dashboard/realtime").json()
            server.until("/api/checkpoints", lambda a: len(a["checkpoints"]) >= 2)
            server.post("/api/training/stop")
        server.until("/api/training/status", lambda a: not a["is_training"])
        refused = {"status": busy.status_code, **busy.json()}
        yield Session(server, root, idle, started, stopped, trained, training, refused, realtime)
    end_all(Workspace.open(root))


@contextmanager
def listening(server: Living, training_id: object) -> Iterator[None]:
    """The events of the training are seen as well; at the end of the block the last one is waited for."""
    client, over = socketio.Client(), threading.Event()

    def keep(name, message):
        server.seen.append(Sighting("", "Socket.IO", name, frozenset({"training_id"}), 101, message))
        if name == "training_complete":
            over.set()

    client.on("training_update", partial(keep, "training_update"))
    client.on("training_complete", partial(keep, "training_complete"))
    client.connect(server.web.url)
    client.emit("subscribe_training", {"training_id": training_id})
    yield
    assert over.wait(60)
    client.disconnect()


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


def test_the_table_of_endpoints_says_what_was_seen(session, told):
    told(DOCUMENT, session.server.seen)
