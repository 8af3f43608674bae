"""Clients of other systems on one server: the programs of their documents, a queue of several systems' jobs,
and a job that is paused and resumed.

The programs are those of the documents, letter by letter, but for host, model and dataset.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from forgellm.domain.runs import RunState
from forgellm.storage.events import last_event, read_events
from forgellm.storage.liveness import state
from forgellm.storage.runs import find_run, list_runs, run_folder
from tests.contracts.living import ROWS, Living, checked, lines, living
from tests.journeys.lives import reach, standing_still

PROGRAMS = Path(__file__).with_name("programs")
MODELS = ("gpt2", "meta-llama/Llama-3.2-3B")
SHEET = "instruction,input,output\n" + "".join(f'"{r["instruction"]}",,"{r["output"]}"\n' for r in ROWS)
JQ = "import json, sys\nprint(json.load(sys.stdin)[sys.argv[2].removeprefix('.')])\n"
"""As much of jq as the programs use, for machines that have none: `jq -r .key`."""
FEW = {"epochs": 1, "batch_size": 4}


@dataclass(frozen=True)
class Place:
    """A live server, and a folder with the files that the documents' readers have."""

    port: Living
    folder: Path

    def run(self, program: str, *, by: tuple[str, ...], put: Mapping[str, str]) -> str:
        """What a program of the documents prints, with other words `put` in the place of some."""
        text = (PROGRAMS / program).read_text(encoding="utf-8")
        for old, new in put.items():
            assert old in text
            text = text.replace(old, new)
        done = subprocess.run(
            [*by, text],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run_of(self, key: object) -> Path:
        """The folder of a run by its id or number."""
        return run_folder(self.port.workspace, find_run(self.port.workspace, str(key)))


@pytest.fixture(scope="module")
def place(worker_environment, tmp_path_factory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("dialects")
    folder = root / "client"
    (folder / "bin").mkdir(parents=True)
    (folder / "training_data.csv").write_text(SHEET)
    # Between two looks the document's reader has half a minute, which these few rows do not take.
    _command(folder / "bin" / "sleep", "#!/bin/sh\nexec /bin/sleep 0.2\n")
    if shutil.which("jq") is None:
        _command(folder / "bin" / "jq", f"#!{sys.executable}\n{JQ}")
    with living(worker_environment, root, *MODELS) as port:
        checked(port.upload("/api/upload_dataset", "dataset.jsonl", lines(ROWS)))
        yield Place(port, folder)


def test_the_python_client_of_modelforge(place):
    put = {"http://localhost:8000": place.port.web.url, "/path/to/dataset.jsonl": "dataset.jsonl"}
    said = place.run("modelforge_client.py.txt", by=(sys.executable, "-c"), put=put)
    started, status = said.splitlines()
    assert started.startswith("{'status': 'started', 'job_id': 'train_")
    assert "'total_epochs': 3" in status
    place.port.until("/api/training_status", lambda a: a["status"] == "completed")


def test_the_programs_of_llm_platform(place):
    put = {"http://localhost:5000": place.port.web.url}
    said = place.run("llm_platform_client.py.txt", by=(sys.executable, "-c"), put=put)
    generated, _, created = said.rpartition("Training job created: ")
    assert generated.startswith("Generated: ")
    first = checked(place.port.get("/api/models"))["models"][0]["id"]
    put |= {"models/1/": f"models/{first}/", '"model_id": 1,': f'"model_id": {first},'}
    said = place.run("llm_platform_curl.sh", by=("bash", "-euc"), put=put)
    assert '"text"' in said
    for job in (int(created), int(created) + 1):
        path = f"/api/training/{job}"
        found = place.port.until(path, lambda a: a["status"] in ("COMPLETED", "FAILED", "INTERRUPTED"))
        assert found["status"] == "COMPLETED", found


def test_the_curl_workflow_of_sienn(place):
    put = {"http://localhost:8000": place.port.web.url}
    said = place.run("sienn_workflow.sh", by=("bash", "-euc"), put=put)
    assert "Status: completed, Progress: 100" in said
    assert '"generated_text"' in said
    (archive,) = place.folder.glob("*.zip")
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        names = {name.partition("/")[2] for name in opened.namelist()}
    assert "Modelfile" in names
    assert any(name.endswith(".gguf") for name in names)


def test_a_queue_of_three_systems_runs_to_its_end_by_itself(place):
    """Behind a job that is stopped while it runs, with one among them that is cancelled while it waits."""
    port = place.port
    model = checked(port.get("/llm-platform/api/models"))["models"][0]
    long = {"model_name": MODELS[0], "dataset": "dataset.jsonl", "num_train_epochs": 9000}
    running = checked(port.post("/modelforge/api/start_training", long))["job_id"].removeprefix("train_")
    tuned = {"project_name": "town", "base_model": MODELS[0], "epochs": 1, "rank": 8}
    waiting = [
        checked(port.post("/llm-platform/api/training", {"model_id": model["id"], **FEW}))["id"],
        checked(port.post("/ai-forge/v1/fine-tune", tuned))["job_id"],
        checked(port.post("/ai-forge/v1/fine-tune", {**tuned, "project_name": "unwanted"}))["job_id"],
        checked(port.post("/sienn-ai/api/start-finetuning", {"model_name": MODELS[0]}))["job_id"],
    ]
    runs = list_runs(port.workspace)[-4:]
    assert {state(run_folder(port.workspace, run)) for run in runs} == {RunState.PENDING}
    cancelled = checked(port.delete(f"/ai-forge/v1/fine-tune/{waiting[2]}"))
    assert cancelled["status"] == "cancelled"
    stopped = checked(port.post("/modelforge/api/stop_training"))
    assert stopped["status"] in ("stopped", "stopping")
    # Nobody asks the server for anything from here on: each worker begins the next run as it ends.
    folders = [run_folder(port.workspace, run) for run in runs]
    assert [over(folder) for folder in folders] == [
        RunState.COMPLETED,
        RunState.COMPLETED,
        RunState.STOPPED,
        RunState.COMPLETED,
    ]
    begun = [last_event(folder, ("started",)) for folder in folders if folder != folders[2]]
    assert [event["time"] for event in begun] == sorted(event["time"] for event in begun)
    assert state(place.run_of(running)) is RunState.STOPPED
    assert checked(port.get(f"/llm-platform/api/training/{waiting[0]}"))["status"] == "COMPLETED"
    assert checked(port.get(f"/ai-forge/v1/fine-tune/{waiting[1]}"))["status"] == "completed"
    assert checked(port.get(f"/sienn-ai/api/training-status/{waiting[3]}"))["status"] == "completed"


def test_a_job_that_was_paused_has_the_same_curve_bit_for_bit(place):
    port = place.port
    model = checked(port.get("/api/models"))["models"][0]
    wish = {"model_id": model["id"], "epochs": 8, "batch_size": 4, "dataset": "dataset.jsonl"}
    paused = checked(port.post("/api/training", wish))["id"]
    folder = place.run_of(paused)
    reach(folder, 5)
    with standing_still(folder):
        told = checked(port.post(f"/api/training/{paused}/pause"))
    assert told["status"] == "PAUSED"
    at = checked(port.get(f"/api/training/{paused}"))
    assert (at["status"], at["completed_at"]) == ("PAUSED", None)
    assert checked(port.post(f"/api/training/{paused}/resume"))["status"] == "RUNNING"
    whole = checked(port.post("/api/training", wish))["id"]
    other = place.run_of(whole)
    assert [over(folder), over(other)] == [RunState.COMPLETED] * 2
    assert find_run(port.workspace, str(paused)).spec == find_run(port.workspace, str(whole)).spec
    assert curve(folder) == curve(other)
    steps = [event["iteration"] for event in read_events(other) if event["type"] == "train"]
    assert len(steps) == steps[-1] == 24


def over(folder: Path) -> RunState:
    """How a run ended, once it has: it is looked at for four minutes, and nobody is asked."""
    tick = threading.Event()
    for _ in range(2400):
        if not state(folder).is_active:
            break
        tick.wait(0.1)
    return state(folder)


def _command(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def curve(folder: Path) -> dict[tuple[object, object], list[object]]:
    """(type, iteration) → losses, all of them: a number that was computed twice has to be the same one."""
    found: dict[tuple[object, object], list[object]] = {}
    for event in read_events(folder):
        losses = [event[key] for key in ("training_loss", "validation_loss") if key in event]
        if losses:
            known = found.setdefault((event["type"], event["iteration"]), losses)
            assert known == losses
    return found
