"""The dashboard under load: the server on its own, then its page in a browser; `scripts/bench web`.

The server: live clients and start-up; what grows with a workspace is `scripts/bench growth`. The page
(`bench_page`) needs Chromium; without it this says so.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bench_page
from verdicts import Row, finish, verdict
from web_load import Client, a_run, play, seconds, server

from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace

CLIENTS = 100


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
        threads = [
            threading.Thread(target=client.read_until, args=(last,), kwargs={"within": duration + 60})
            for client in watching
        ]
        for thread in threads:
            thread.start()
        health: list[float] = []
        written = play(log, port, first=2, last=last, rate=rate, health=health)
        for thread in threads:
            thread.join()
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


def start_up() -> dict[str, float]:
    """Seconds from the start of the process to its first answer, beside a Python that only loads Flask."""
    flask = [sys.executable, "-c", "import flask, flask_socketio"]
    ready, alone = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (_, taken):
            ready.append(taken)
        alone.append(seconds(lambda: subprocess.run(flask, check=True), times=1))
    return {"ready": statistics.median(ready), "flask alone": statistics.median(alone)}


def of_server(*, duration: float) -> dict[str, Any]:
    """What the server does without a browser."""
    with tempfile.TemporaryDirectory() as folder:
        watched = live(Path(folder), clients=CLIENTS, stuck=CLIENTS // 10, rate=20, duration=duration)
    return {"live": watched, "start": start_up()}


def main() -> int:
    """Print the figures; 1 where an event was lost or came twice, or another promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each live part takes")
    parser.add_argument("--points", type=int, default=200_000, help="of the longest run")
    options = parser.parse_args()
    result: dict[str, Any] = {"scripts": bench_page.scripts()}
    result["server"] = of_server(duration=options.seconds)
    if not options.json:
        print(table(result["server"]), flush=True)
    sizes = {"points": options.points, "duration": options.seconds}
    page = bench_page.measured(clients=CLIENTS, **sizes) if bench_page.CHROMIUM else None
    result["page"] = page
    if page and not options.json:
        print(bench_page.table(page, CLIENTS))
    return finish(rows(result), as_json=options.json, **result)


def rows(result: dict[str, Any]) -> list[Row]:
    """What is promised of the server and of the page."""
    server, page = result["server"], result["page"]
    lost = server["live"]["lost"] + server["live"]["repeated"]
    events = f"{server['live']['clients']} clients, events lost or twice"
    judged = [verdict(events, str(lost), wanted="0", reached=lost == 0), bench_page.size(result["scripts"])]
    if page is None:
        absent = verdict("THE PAGE", "NOT MEASURED", wanted=bench_page.MISSING, reached=None)
        return [*judged, absent]
    return [*judged, *bench_page.rows(page)]


def table(result: dict[str, Any]) -> str:
    """The figures of the server as text."""
    live = result["live"]
    lines = [
        f"live      {live['clients']} clients, {live['stuck']} stuck, {live['events_per_second']} events/s:"
        f" {live['lost']} lost, {live['repeated']} repeated, p50 {live['p50_ms']:.0f} ms,"
        f" p99 {live['p99_ms']:.0f} ms, health {live['health_ms']:.0f} ms at most"
    ]
    start = result["start"]
    lines.append(
        f"start     first answer after {start['ready']:.2f} s, of which Flask {start['flask alone']:.2f} s"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
