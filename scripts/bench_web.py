"""The dashboard under load: the server on its own, then its page in a browser; `scripts/bench web`.

The server: live clients, long lists, long runs, start-up. Growth is given as a ratio of two sizes taken in
one run; seconds mean little elsewhere. The page (`bench_page`) needs Chromium; without it this says so.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bench_page
from verdicts import Row, at_most, finish, verdict
from web_load import Client, a_run, get, play, seconds, server, write_events

from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace

CLIENTS = 100
WANTED = 1.15
"""Growth over the growth of the size: linear, and what two timings of seconds scatter."""


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
        Client(port, run.id).read_until(count, within=240)
        return {
            "replay": time.perf_counter() - begun,
            "status": seconds(lambda: get(port, "/api/training/status")),
            "last page": seconds(lambda: get(port, at + str(max(0, count - 1000)))),
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


def of_server(*, points: int, runs: int, duration: float) -> dict[str, Any]:
    """What the server does without a browser."""
    with tempfile.TemporaryDirectory() as folder:
        watched = live(Path(folder), clients=CLIENTS, stuck=CLIENTS // 10, rate=20, duration=duration)
    return {
        "live": watched,
        "runs": growth(lists, runs // 10, runs),
        "events": growth(long_run, points // 10, points),
        "start": start_up(),
    }


def main() -> int:
    """Print the figures; 1 where an event was lost or came twice, or another promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each live part takes")
    parser.add_argument("--points", type=int, default=200_000, help="of the longest run")
    parser.add_argument("--runs", type=int, default=1000, help="in the longest list")
    options = parser.parse_args()
    sizes = {"points": options.points, "duration": options.seconds}
    result: dict[str, Any] = {"scripts": bench_page.scripts()}
    result["server"] = of_server(runs=options.runs, **sizes)
    if not options.json:
        print(table(result["server"]), flush=True)
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
    judged = [verdict(events, str(lost), wanted="0", reached=lost == 0)]
    judged += [
        *growth_rows("runs", server["runs"]),
        *growth_rows("events", server["events"]),
        bench_page.size(result["scripts"]),
    ]
    if page is None:
        absent = verdict("THE PAGE", "NOT MEASURED", wanted=bench_page.MISSING, reached=None)
        return [*judged, absent]
    return [*judged, *bench_page.rows(page)]


def growth_rows(name: str, found: dict[str, Any]) -> Iterator[Row]:
    """Each growth with its milliseconds, beside what is wanted of it."""
    small, large = found["sizes"]
    for key, ratio in found["ratio"].items():
        before, after = (1000 * found["seconds"][size][key] for size in (small, large))
        row = at_most(f"growth / size, {name} {small:,} to {large:,}: {key}", ratio, WANTED)
        yield {**row, "figure": f"{ratio:.2f} ({before:,.0f}, {after:,.0f} ms)"}


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
