"""The web server under load, on its own: live clients, long lists, long runs, start-up; `scripts/bench web`.

A real `forgellm web` serves a workspace of made-up runs; the clients are in this process, so that both ends
read one clock. Growth is given as a ratio of two sizes taken in one run; seconds mean little elsewhere.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

from forgellm.domain.runs import Run, RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace

SPEC = {"model_name": "models/base/none", "training_type": "cpt", "dataset": "none", "max_iterations": 500}
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
STUCK_BUFFER = 4096


class Client:
    """A Socket.IO client over a plain WebSocket: subscribes, and notes when each event came."""

    def __init__(self, port: int, run: str, *, stuck: bool = False, after: int = 0) -> None:
        small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, STUCK_BUFFER)] if stuck else []
        address = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        self.socket = websocket.create_connection(address, sockopt=small, timeout=60)
        self.socket.recv()
        self.socket.send("40")
        self.socket.recv()
        self.came: dict[int, float] = {}
        self.repeated = 0
        self.socket.send("42" + json.dumps(["subscribe_training", {"training_id": run, "after": after}]))

    def read_until(self, seq: int) -> None:
        """Take messages until the event `seq` has come."""
        while seq not in self.came:
            text = str(self.socket.recv())
            now = time.time()
            if text == "2":
                self.socket.send("3")
            if text.startswith("42"):
                self._note(json.loads(text[2:]), now)

    def _note(self, message: tuple[str, dict[str, Any]], now: float) -> None:
        name, data = message
        for event in data.get("events", []) if name == "training_update" else []:
            self.repeated += event["seq"] in self.came
            self.came.setdefault(event["seq"], now)


@contextmanager
def server(root: Path) -> Iterator[tuple[int, float]]:
    """(port, seconds from the start of the process to its first answer) of a `forgellm web` in `root`."""
    command = [sys.executable, "-m", "forgellm", "web", "--port", "0", "--workspace", str(root)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        port = next(
            int(line.split("127.0.0.1:")[1].split()[0].rstrip("/."))
            for line in process.stdout
            if "127" in line
        )
        get(port, "/api/health")
        yield port, time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


def get(port: int, path: str) -> Any:
    """The JSON answer."""
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
        return json.load(answer)


def seconds(action: Callable[[], object], *, times: int = 5) -> float:
    """The median duration of `times` calls."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def a_run(workspace: Workspace, number: int) -> Run:
    """A pending training run that nobody starts while the training lock is held."""
    return create_run(
        workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec(SPEC)),
        name=f"bench_{number}",
        created=BEGIN + timedelta(seconds=number),
        versions={},
        base_fingerprint=None,
    )


def write_events(folder: Path, count: int, *, ended: bool = True) -> None:
    """A run of `count` events, as a worker would have written them; it is finished if it has `ended`."""
    lines = [{"seq": 1, "time": "2026-01-01T00:00:00.000Z", "type": "started", "resume": False}]
    lines.append({**lines[0], "seq": 2, "type": "phase", "phase": "training", "total_iterations": 2 * count})
    for seq in range(3, count + 1):
        lines.append(
            {
                "seq": seq,
                "time": "2026-01-01T00:00:01.000Z",
                "type": "train",
                "iteration": seq - 2,
                "training_loss": 5.0 / seq + 1.2345678901234,
                "learning_rate": 4.9233331091504034e-05,
                "tokens_per_second": 3987.1971721635286,
                "iteration_seconds": 0.06420550300026662,
                "memory_usage_gb": 0.04293913,
                "peak_memory_gb": 0.03780694,
                "trained_tokens": 256 * seq,
                "gradient_norm": 0.8178310394287109,
                "epoch": 0,
            }
        )
    if ended:
        lines[-1] = {
            **lines[0],
            "seq": count,
            "type": "completed",
            "iteration": count,
            "best_checkpoints": [],
        }
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def live(root: Path, *, clients: int, stuck: int, rate: int, duration: float) -> dict[str, Any]:
    """`clients` watch one run that makes `rate` events a second; `stuck` more of them never read."""
    workspace = Workspace.open(root)
    with server(root) as (port, _):
        run = a_run(workspace, 0)
        folder = run_folder(workspace, run)
        held = HeldLock.acquire(lock_path(folder))
        log = EventLog(folder, lambda: datetime.now(timezone.utc))
        log.append("started", resume=False)
        watching = [Client(port, run.id) for _ in range(clients - stuck)]
        idle = [Client(port, run.id, stuck=True) for _ in range(stuck)]
        last = 1 + int(rate * duration)
        threads = [threading.Thread(target=client.read_until, args=(last,)) for client in watching]
        for thread in threads:
            thread.start()
        health: list[float] = []
        written = play(log, port, first=2, last=last, rate=rate, health=health)
        for thread in threads:
            thread.join(60)
        assert held is not None
        held.release()
    came = [when - written[seq] for c in watching for seq, when in c.came.items() if seq in written]
    expected = len(watching) * len(written)
    return {
        "clients": clients,
        "stuck": len(idle),
        "events_per_second": rate,
        "lost": expected - len(came),
        "repeated": sum(client.repeated for client in watching),
        "p50_ms": 1000 * statistics.median(came),
        "p99_ms": 1000 * statistics.quantiles(came, n=100)[98],
        "health_ms": 1000 * max(health),
    }


def play(
    log: EventLog, port: int, *, first: int, last: int, rate: int, health: list[float]
) -> dict[int, float]:
    """Write the events `first` to `last` in time; seq, which is the iteration too, → when it was written."""
    written: dict[int, float] = {}
    begun = time.perf_counter()
    for seq in range(first, last + 1):
        time.sleep(max(0.0, begun + (seq - first) / rate - time.perf_counter()))
        log.append("train", iteration=seq, training_loss=1.5, tokens_per_second=100.0, iteration_seconds=0.05)
        written[seq] = time.time()
        if seq % (2 * rate) == 0:
            health.append(seconds(lambda: get(port, "/api/health"), times=1))
    return written


def lists(root: Path, count: int) -> dict[str, float]:
    """Listing `count` runs of 500 events each, the first and the following times."""
    workspace = Workspace.open(root)
    for number in range(1, count + 1):
        write_events(run_folder(workspace, a_run(workspace, number)), 500)
    with server(root) as (port, _):
        first = seconds(lambda: get(port, "/api/runs?limit=10000"), times=1)
        return {
            "first": first,
            "again": seconds(lambda: get(port, "/api/runs?limit=10000")),
            "page": seconds(lambda: get(port, "/api/runs")),
            "status": seconds(lambda: get(port, "/api/training/status")),
        }


def long_run(root: Path, count: int) -> dict[str, float]:
    """What is asked of one run of `count` events, and its whole replay over Socket.IO."""
    workspace = Workspace.open(root)
    run = a_run(workspace, 1)
    write_events(run_folder(workspace, run), count)
    with server(root) as (port, _):
        at = f"/api/runs/{run.id}/events?limit=1000&after="
        begun = time.perf_counter()
        Client(port, run.id).read_until(count)
        return {
            "replay": time.perf_counter() - begun,
            "status": seconds(lambda: get(port, "/api/training/status")),
            "last page": seconds(lambda: get(port, at + str(count - 1000))),
            "dashboard data": seconds(lambda: get(port, "/api/dashboard/data"), times=2),
        }


def start_up() -> dict[str, float]:
    """Seconds from the start of the process to its first answer, beside a Python that only loads Flask."""
    flask = [sys.executable, "-c", "import flask, flask_socketio"]
    ready, alone = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (_, taken):
            ready.append(taken)
        alone.append(seconds(lambda: subprocess.run(flask, check=True), times=1))
    return {"ready": statistics.median(ready), "flask alone": statistics.median(alone)}


def growth(measure: Callable[[Path, int], dict[str, float]], small: int, large: int) -> dict[str, Any]:
    """`measure` at both sizes; `ratio` below 1 means that it grows slower than the size does."""
    found = {}
    for size in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            found[size] = measure(Path(folder), size)
    ratios = {key: found[large][key] / found[small][key] / (large / small) for key in found[large]}
    return {"sizes": [small, large], "seconds": found, "ratio": ratios}


def main() -> int:
    """Print the figures; 1 where an event was lost or came twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the live part takes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watched = live(Path(folder), clients=100, stuck=10, rate=20, duration=options.seconds)
    result = {
        "live": watched,
        "runs": growth(lists, 100, 1000),
        "events": growth(long_run, 20_000, 200_000),
        "start": start_up(),
    }
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 1 if watched["lost"] or watched["repeated"] else 0


def table(result: dict[str, Any]) -> str:
    """The figures as text."""
    live = result["live"]
    lines = [
        f"live      {live['clients']} clients, {live['stuck']} stuck, {live['events_per_second']} events/s:"
        f" {live['lost']} lost, {live['repeated']} repeated, p50 {live['p50_ms']:.0f} ms,"
        f" p99 {live['p99_ms']:.0f} ms, health {live['health_ms']:.0f} ms at most"
    ]
    for name in ("runs", "events"):
        small, large = result[name]["sizes"]
        for key, ratio in result[name]["ratio"].items():
            values = result[name]["seconds"]
            lines.append(
                f"{name:9} {key:15} {small:>7,}: {1000 * values[small][key]:7.0f} ms"
                f"   {large:>7,}: {1000 * values[large][key]:7.0f} ms   growth / size {ratio:.2f}"
            )
    start = result["start"]
    lines.append(
        f"start     first answer after {start['ready']:.2f} s, of which Flask {start['flask alone']:.2f} s"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
