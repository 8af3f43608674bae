"""What grows with a workspace, and what a start costs; `scripts/bench growth`.

Lists of runs and datasets at a tenth and at their whole size, a run's events likewise, in one run: a growth
of 1.0 is linear. Text is `scripts/bench data --sizes 250 500 1000 2000`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench_web import start_up
from verdicts import Row, at_most, finish
from web_load import Client, a_run, get, seconds, server, write_events

from forgellm.forge import Forge
from forgellm.services import samples
from forgellm.settings import read_settings
from forgellm.storage.events import read_events
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace

COMMAND = [sys.executable, "-m", "forgellm"]
STARTS = 5
"""Of a server, to see what it is asked first: it happens once in each."""

WANTED = 1.15
"""Growth over the growth of the size: linear, and what two timings of seconds scatter."""


def lists(root: Path, count: int) -> dict[str, float]:
    """Listing `count` runs of 500 events each, the first and the following times."""
    workspace = Workspace.open(root)
    for number in range(1, count + 1):
        write_events(run_folder(workspace, a_run(workspace, number)), 500)
    first = first_time(root, "/api/runs?limit=10000")
    with server(root) as (port, _):
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
            "dashboard data": seconds(lambda: get(port, "/api/dashboard/data"), times=3),
        }


def datasets(root: Path, count: int) -> dict[str, float]:
    """Listing `count` datasets of ten files each, the first and the following times."""
    for number in range(count):
        folder = root / "dataset" / f"data{number:04d}"
        folder.mkdir(parents=True)
        for name in range(10):
            (folder / f"{name}.txt").write_text("Some words of a document. " * 40)
    first = first_time(root, "/api/datasets")
    with server(root) as (port, _):
        return {"first": first, "again": seconds(lambda: get(port, "/api/datasets"))}


def first_time(root: Path, path: str) -> float:
    """The median duration of what a server is asked first, over as many starts."""
    taken = []
    for _ in range(STARTS):
        with server(root) as (port, _):
            taken.append(seconds(partial(get, port, path), times=1))
    return statistics.median(taken)


def commands() -> dict[str, float]:
    """Seconds of `forgellm --help`, beside a Python that does nothing."""
    empty = [sys.executable, "-c", "pass"]
    return {
        "help": _median(lambda: subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)),
        "python alone": _median(lambda: subprocess.run(empty, check=True)),
    }


def first_step(root: Path) -> dict[str, float]:
    """Seconds from a run's start to the end of its first iteration, by what they went to."""
    forge = Forge(read_settings(str(root)))
    samples.bring_model(forge)
    samples.bring_dataset(forge, samples.GENERAL)
    wish = [
        "--model-name",
        f"models/base/{samples.MODEL}",
        "--training-type",
        "cpt",
        "--dataset",
        samples.GENERAL,
    ]
    short = ["--max-iterations", "2", "--max-seq-length", "128", "--validation-tokens", "1024"]
    command = [*COMMAND, "--workspace", str(root), "train", *wish, *short]
    subprocess.run(command, check=True, capture_output=True)
    (run,) = list_runs(forge.workspace)
    events = read_events(run_folder(forge.workspace, run))
    begun = [datetime.fromisoformat(str(event["time"])) for event in events]
    first = next(number for number, event in enumerate(events) if event["type"] == "train")
    found = {"to the first step": (begun[first] - run.created).total_seconds()}
    found["to the worker's first event"] = (begun[0] - run.created).total_seconds()
    for event, start, end in zip(events[:first], begun, begun[1:], strict=False):
        name = str(event.get("phase") or event["type"])
        found[name] = found.get(name, 0.0) + (end - start).total_seconds()
    return found


def _median(action: Callable[[], object]) -> float:
    return statistics.median(seconds(action, times=1) for _ in range(5))


def growth(measure: Callable[[Path, int], dict[str, float]], small: int, large: int) -> dict[str, Any]:
    """`measure` at both sizes; `ratio` below 1 means that it grows slower than the size does."""
    found = {}
    for size in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            found[size] = measure(Path(folder), size)
    ratios = {key: found[large][key] / found[small][key] / (large / small) for key in found[large]}
    return {"sizes": [small, large], "seconds": found, "ratio": ratios}


def measured(*, runs: int, points: int, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        step = first_step(Path(folder))
    return {
        "seconds": {"command": commands(), "web": start_up(), "worker": step},
        "growth": {
            "runs": growth(lists, runs // 10, runs),
            "events": growth(long_run, points // 10, points),
            "datasets": growth(datasets, count // 10, count),
        },
    }


def rows(found: dict[str, Any]) -> list[Row]:
    """Each growth beside what is wanted of it."""
    return [row for name, part in found["growth"].items() for row in growth_rows(name, part)]


def growth_rows(name: str, found: dict[str, Any]) -> Iterator[Row]:
    """Each growth with its milliseconds, beside what is wanted of it."""
    small, large = found["sizes"]
    for key, ratio in found["ratio"].items():
        before, after = (1000 * found["seconds"][size][key] for size in (small, large))
        row = at_most(f"growth / size, {name} {small:,} to {large:,}: {key}", ratio, WANTED)
        yield {**row, "figure": f"{ratio:.2f} ({before:,.0f}, {after:,.0f} ms)"}


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="of 500 events each, in the longest list")
    parser.add_argument("--points", type=int, default=200_000, help="events of the longest run")
    parser.add_argument("--datasets", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(runs=options.runs, points=options.points, count=options.datasets)
    if not options.json:
        for name, part in found["seconds"].items():
            print(f"{name:<8} " + ", ".join(f"{key} {value:.2f} s" for key, value in part.items()))
    return finish(rows(found), as_json=options.json, **found)


if __name__ == "__main__":
    sys.exit(main())
