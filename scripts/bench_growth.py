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
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from bench_web import growth, growth_rows, lists, long_run, start_up
from verdicts import Row, finish
from web_load import get, seconds, server

from forgellm.forge import Forge
from forgellm.services import samples
from forgellm.settings import read_settings
from forgellm.storage.events import read_events
from forgellm.storage.runs import list_runs, run_folder

COMMAND = [sys.executable, "-m", "forgellm"]


def datasets(root: Path, count: int) -> dict[str, float]:
    """Listing `count` datasets of ten files each, the first and the following times."""
    for number in range(count):
        folder = root / "dataset" / f"data{number:04d}"
        folder.mkdir(parents=True)
        for name in range(10):
            (folder / f"{name}.txt").write_text("Some words of a document. " * 40)
    with server(root) as (port, _):
        first = seconds(lambda: get(port, "/api/datasets"), times=1)
        return {"first": first, "again": seconds(lambda: get(port, "/api/datasets"))}


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
