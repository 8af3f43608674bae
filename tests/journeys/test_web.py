"""The web server in bad company: killed while a run trains, asked by many, watched by real clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forgellm.storage.events import read_events
from tests.jobs.sample_worker import end_all
from tests.servers import running_server
from tests.web.conftest import Watcher

JAVASCRIPT = Path(__file__).resolve().parents[1] / "contracts" / "javascript"
LONG = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "domain",
    "batch_size": 4,
    "max_seq_length": 64,
    "max_iterations": 100_000,
    "eval_every": 100_000,
    "save_every": 100_000,
}


@pytest.fixture(autouse=True)
def _no_runs_left(workspace):
    yield
    end_all(workspace)


@pytest.fixture(scope="session")
def javascript(tmp_path_factory) -> Path:
    """The official JavaScript client, installed as its lock file says."""
    folder = tmp_path_factory.mktemp("javascript")
    for name in ("package.json", "package-lock.json", "watch.js"):
        shutil.copy(JAVASCRIPT / name, folder)
    npm = shutil.which("npm")
    assert npm is not None, "npm is missing: scripts/test installs it"
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    return folder


class JavaScriptWatcher:
    """watch.js as a process; its messages are kept as they come."""

    def __init__(self, folder: Path, url: str, training_id: str) -> None:
        self.messages: list[tuple[str, dict]] = []
        self._news = threading.Condition()
        node = shutil.which("node")
        self.process = subprocess.Popen(
            [node, "watch.js", url, training_id, "0"], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            message = json.loads(line, parse_constant=_refuse)
            with self._news:
                self.messages.append((message["name"], message["data"]))
                self._news.notify_all()

    def wait(self, name: str, *, count: int = 1) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.named(name)) >= count, timeout=120), self.messages[
                -3:
            ]

    def named(self, name: str) -> list[dict]:
        return [data for known, data in self.messages if known == name]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for update in self.named("training_update") for event in update["events"]]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _refuse(name):
    raise AssertionError(f"{name} left the server")


def test_a_killed_web_server_disturbs_nothing_and_clients_come_back_by_themselves(
    workspace, worker_environment, javascript
):
    with running_server(workspace.root, worker_environment) as first:
        started = first.post("/api/training/start", LONG).json()
        training_id, folder = started["training_id"], workspace.root / started["output_dir"]
        first.until("/api/training/status", lambda a: a["current_iteration"] >= 50)
        run = _Named(training_id)
        python, node = Watcher(first.url, run), JavaScriptWatcher(javascript, first.url, training_id)
        python.wait(lambda w: w.seq > 50)
        node.wait("training_update")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        at_kill = len(read_events(folder))
        port = int(first.url.rsplit(":", 1)[1])
    with running_server(workspace.root, worker_environment, port=port) as second:
        status = second.get("/api/training/status").json()
        assert (status["training_id"], status["is_training"]) == (training_id, True)
        python.wait(lambda w: w.seq > at_kill, seconds=60)
        node.wait("connect", count=2)
        assert second.post("/api/training/stop").status_code == 200
        second.until("/api/training/status", lambda a: not a["is_training"])
        python.wait(lambda w: bool(w.named("training_complete")), seconds=60)
        node.wait("training_complete")
    python.close()
    node.close()
    told = [event["seq"] for event in read_events(folder)]
    assert told == list(range(1, len(told) + 1))
    assert len(told) > at_kill
    assert python.seqs == told
    assert node.seqs == told
    (complete,) = node.named("training_complete")
    trained = [event["iteration"] for event in read_events(folder) if event["type"] == "train"]
    assert (complete["state"], complete["final_iteration"]) == ("stopped", trained[-1])
    assert trained == list(range(1, len(trained) + 1))


class _Named:
    """All that a watcher needs of a run."""

    def __init__(self, id: str) -> None:
        self.id = id


def test_of_twenty_starts_at_once_one_wins(workspace, worker_environment):
    with running_server(workspace.root, worker_environment) as server, ThreadPoolExecutor(20) as browsers:
        answers = list(browsers.map(lambda _: server.post("/api/training/start", LONG), range(20)))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200] + [409] * 19
        refused = next(answer.json() for answer in answers if answer.status_code == 409)
        assert refused["error_code"] == "RUN_CONFLICT"
        runs = server.get("/api/runs").json()
        assert runs["total"] == 1
        queued = server.post("/api/training/start", {**LONG, "queue": True, "max_iterations": 1})
        assert (queued.status_code, queued.json()["state"]) == (200, "pending")
        assert server.post("/api/training/stop").status_code == 200
        second = queued.json()["training_id"]
        server.until(f"/api/runs/{second}", lambda a: a["run"]["state"] == "completed")


def test_a_run_is_paused_resumed_deleted_and_brought_back(workspace, worker_environment):
    with running_server(workspace.root, worker_environment) as server:
        started = server.post("/api/training/start", LONG).json()
        training_id = started["training_id"]
        server.until("/api/training/status", lambda a: a["current_iteration"] >= 20)
        live = server.delete(f"/api/runs/{training_id}")
        assert (live.status_code, live.json()["error_code"]) == (409, "RUN_CONFLICT")
        assert server.post("/api/training/pause", {"training_id": training_id}).status_code == 200
        paused = server.until("/api/training/status", lambda a: a["state"] == "paused")
        assert paused["is_training"] is False
        resumed = server.post("/api/training/resume", {"training_id": training_id})
        assert resumed.status_code == 200
        again = server.until(
            "/api/training/status", lambda a: a["current_iteration"] > paused["current_iteration"]
        )
        assert again["training_id"] == training_id
        assert server.post("/api/training/stop").status_code == 200
        server.until("/api/training/status", lambda a: not a["is_training"])
        picture = server.get(f"/api/runs/{training_id}/dashboard.png")
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG")
        assert "log" in server.get(f"/api/runs/{training_id}/log").json()
        deleted = server.delete(f"/api/runs/{training_id}").json()
        assert server.get(f"/api/runs/{training_id}").status_code == 404
        assert server.post(deleted["restore"]).status_code == 200
        assert server.get(f"/api/runs/{training_id}").json()["run"]["state"] == "stopped"
