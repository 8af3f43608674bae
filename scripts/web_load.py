"""What loads a web server: made-up runs, events written in time, live clients; for two of the benchmarks.

A real `forgellm web` serves a workspace; the clients are in this process, so that both ends read one clock.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
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
from forgellm.storage.runs import create_run
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

    def read_until(self, seq: int, *, within: float) -> None:
        """Take messages until the event `seq` has come. Raises TimeoutError after `within` seconds."""
        deadline = time.monotonic() + within
        while seq not in self.came:
            text = self._message(deadline, f"event {seq} did not come within {within:.0f} s")
            now = time.time()
            if text == "2":
                self.socket.send("3")
            if text.startswith("42"):
                self._note(json.loads(text[2:]), now)

    def _message(self, deadline: float, late: str) -> str:
        """The next one; empty for a ping or pong of the WebSocket itself, which would hide the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(late)
        self.socket.settimeout(left)
        try:
            kind, data = self.socket.recv_data(control_frame=True)
        except websocket.WebSocketTimeoutException:
            raise TimeoutError(late) from None
        if kind == websocket.ABNF.OPCODE_CLOSE:
            raise ConnectionError("the server closed the connection")
        return str(data, "utf-8") if kind == websocket.ABNF.OPCODE_TEXT else ""

    def _note(self, message: tuple[str, dict[str, Any]], now: float) -> None:
        name, data = message
        for event in data.get("events", []) if name == "training_update" else []:
            self.repeated += event["seq"] in self.came
            self.came.setdefault(event["seq"], now)


@contextmanager
def server(root: Path) -> Iterator[tuple[int, float]]:
    """(port, seconds from the start of the process to its first answer) of a `forgellm web` in `root`."""
    command = [sys.executable, "-m", "forgellm", "web", "--port", "0", "--workspace", str(root)]
    # What was made for a measurement shall not be on its way to the disk while it is taken.
    os.sync()
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        port = port_of(process)
        get(port, "/api/health")
        yield port, time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that a server says it listens on; what it says further is read and dropped.

    Raises ChildProcessError where it ends before.
    """
    assert process.stdout is not None
    said = (line.split("127.0.0.1:")[1] for line in process.stdout if "127.0.0.1:" in line)
    address = next(said, None)
    if address is None:
        raise ChildProcessError(f"the server ended with exit status {process.wait()}: its words stand above")
    # A pipe that nobody reads would be full one day, and the server wait.
    threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
    return int(address.split()[0].rstrip("/."))


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
