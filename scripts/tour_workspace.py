"""What the screenshots show: a workspace with real runs of the built-in model, made by a real server.

`prepare` makes what lasts, and leaves out what is there already; `trains` is a run that goes on while it is
photographed, with another one in the queue.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import find_run, run_folder
from forgellm.storage.workspace import Workspace

BASE = "models/base/lough-tiny"
CPT: Mapping[str, object] = {
    "model_name": BASE,
    "training_type": "cpt",
    "dataset": "tamberlough",
    "general_dataset": "everyday",
    "data_mixture_ratio": 0.8,
    "max_seq_length": 129,
    "validation_tokens": 4096,
    "batch_size": 2,
}
QUICK = {"max_iterations": 90, "eval_every": 15, "save_every": 15, "warmup_steps": 5}
NAMED = {
    "LoRA, rank 8": {"lora_rank": 8, "learning_rate": 2e-3},
    "LoRA, rank 32": {"lora_rank": 32, "learning_rate": 2e-3},
    "LoRA, a careful rate": {"lora_rank": 32, "learning_rate": 4e-4},
}
DIVERGES = {"optimizer": "sgd", "learning_rate": 1e30, "max_grad_norm": None, "max_iterations": 90}
ENDLESS = {
    "max_iterations": 1200,
    "eval_every": 10,
    "save_every": 20,
    "lora_rank": 16,
    "learning_rate": 1e-3,
    "sample_prompts": ["The harbour of Tamberlough", "On market days"],
}
SECONDS = 900.0

_pause = threading.Event()


@dataclass(frozen=True)
class Server:
    """A `forgellm` that serves, at `url`."""

    url: str
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer, which must not be a failure."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Forge-Request": "1"}
        with urlopen(Request(self.url + path, data, headers, method=method), timeout=120) as answer:
            return json.load(answer)

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """The first answer for which `holds`."""
        for _ in range(int(SECONDS / 0.2)):
            answer = self.ask("GET", path)
            if holds(answer):
                return answer
            _pause.wait(0.2)
        raise SystemExit(f"{path} did not come to that within {SECONDS:.0f} s: {answer}")

    def child(self, command: str) -> psutil.Process:
        """The process of one of the servers that this `forgellm start` runs: `web` or `server`."""
        return next(c for c in psutil.Process(self.process.pid).children() if command in c.cmdline())


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """`forgellm start` in that workspace."""
    command = [sys.executable, "-m", "forgellm", "start", "--no-browser", "--workspace", str(root)]
    ports = ["--web-port", "0", "--server-port", "0"]
    process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found: dict[str, str] = {}
    try:
        for line in process.stdout:
            name, _, url = line.partition(" is at ")
            found[name] = url.strip()
            if {"ForgeLLM", "The model server"} <= found.keys():
                break
        yield Server(found["ForgeLLM"], process)
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def prepare(root: Path) -> None:
    """The demo with all its runs and models, and beside them what goes wrong."""
    if not list((root / "models").glob("published/*")):
        subprocess.run([sys.executable, "-m", "forgellm", "demo"], cwd=root, check=True)
    _faulty_data(root)
    _half_a_model(root)
    with serving(root) as server:
        known = {run["name"] for run in _runs(server)}
        for name, values in NAMED.items():
            if name not in known:
                _ended(server, begin(server, {**QUICK, **values}, name))
        if "A rate far too high" not in known:
            _ended(server, begin(server, DIVERGES, "A rate far too high"))
        if "Cut off at night" not in known:
            _cut_off(server, root)
        if "quantize" not in {run["kind"] for run in _runs(server)}:
            body = {"model_name": BASE, "dataset": "tamberlough", "group_size": 32}
            _ended(server, str(server.ask("POST", "/api/quantize", body)["run_id"]))


def trains(server: Server) -> tuple[str, ...]:
    """The ids of a run that is under way and of those that wait for it, the next one first."""
    first = begin(server, ENDLESS, "Long evening run")
    waiting = [
        begin(server, {**QUICK, "queue": True}, name)
        for name in ("After that one", "Over the weekend", "Wanted by Monday")
    ]
    server.until(f"/api/runs/{first}", lambda found: found["run"]["iteration"] > 44)
    return first, *waiting


def stop(server: Server, run: str) -> None:
    """Stop a run for good, and wait until it has ended."""
    server.ask("POST", "/api/training/stop", {"training_id": run})
    server.until(f"/api/runs/{run}", lambda found: found["run"]["state"] == "stopped")


def begin(server: Server, values: Mapping[str, object], name: str) -> str:
    """The id of a run that was started, or queued."""
    run = str(server.ask("POST", "/api/training/start", {**CPT, **values})["training_id"])
    server.ask("PATCH", f"/api/runs/{run}", {"name": name})
    return run


def run_called(server: Server, name: str) -> str:
    """The id of the newest run of that name."""
    return next(str(run["id"]) for run in _runs(server) if run["name"] == name)


def run_of_kind(server: Server, kind: str, *, newest: bool = False) -> str:
    """The id of the first run of that kind, or of the last one."""
    found = [str(run["id"]) for run in _runs(server) if run["kind"] == kind]
    return found[0 if newest else -1]


def _runs(server: Server) -> list[dict[str, Any]]:
    return list(server.ask("GET", "/api/runs")["runs"])


def _ended(server: Server, run: str) -> None:
    over = {"completed", "early_stopped", "failed"}
    server.until(f"/api/runs/{run}", lambda found: found["run"]["state"] in over)


def _cut_off(server: Server, root: Path) -> None:
    """A run whose process was killed."""
    run = begin(server, {**ENDLESS, "max_iterations": 400}, "Cut off at night")
    server.until(f"/api/runs/{run}", lambda found: found["run"]["iteration"] > 25)
    workspace = Workspace.open(root)
    worker = lock_path(run_folder(workspace, find_run(workspace, run))).read_text()
    psutil.Process(int(worker)).kill()
    server.until(f"/api/runs/{run}", lambda found: found["run"]["state"] == "interrupted")


def _faulty_data(root: Path) -> None:
    """Questions as people collect them: some twice, some empty, one line broken."""
    folder = root / "dataset" / "parish-records"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"prompt": f"Who kept the lighthouse in {year}?", "completion": f"In {year} it was kept by {who}."}
        for year, who in zip(
            range(1871, 1911), ["Anna Pell", "Jonas Reed", "Mary Coll", "Tom Ash"] * 10, strict=True
        )
    ]
    lines = [json.dumps(row) for row in [*rows, rows[3], rows[9]]]
    lines[5:5] = [json.dumps({"prompt": "Who rang the bell?", "completion": ""})]
    lines[12:12] = ['{"prompt": "Which ship brought the']
    lines[20:20] = [json.dumps({"prompt": "Who wrote the register?"})]
    long = json.dumps({"prompt": "Tell the year 1902.", "completion": "The year was long. " * 400})
    (folder / "train.jsonl").write_text("\n".join([*lines, long]) + "\n", encoding="utf-8")


def _half_a_model(root: Path) -> None:
    """As a download leaves one that was cut off."""
    folder = root / "models" / "base" / "half-copied"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / BASE / "config.json", folder / "config.json")
