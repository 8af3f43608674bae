"""Every benchmark in turn, small enough for fifteen minutes on two cores; `scripts/bench all` runs it.

Each is a process of its own and takes its ratios side by side. The page needs Chromium: without it this says
so. What it all came to is a table, and with --json also the machine and every figure. Exits 1 on a miss.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from verdicts import Row, finish, status, verdict

HERE = Path(__file__).resolve().parent

# Which, and how much of each: the figures of all of them in docs/performance.md come from longer runs.
BENCHES: dict[str, list[str]] = {
    "memory": ["--rounds", "1"],
    "plan": ["--only", "32k 4x256 grad"],
    "training": ["--epochs", "1"],
    "learning": ["--quick"],
    "generation": ["--rounds", "12", "--conversations", "1"],
    "data": ["--sizes", "20", "40"],
    "web": ["--seconds", "6", "--points", "20000"],
}

LIMIT = 600
"""Seconds of each."""


def run(name: str, options: list[str]) -> tuple[list[Row], Any]:
    """The rows of a benchmark and all it found. One that fails is a row of its own: others go on."""
    print(f"== {name}", file=sys.stderr, flush=True)
    # The script knows which of them compute and which drive a browser.
    ended, printed = output([str(HERE / "bench"), name, "--json", *options], limit=LIMIT)
    return read(ended, printed)


def output(command: list[str], *, limit: float) -> tuple[int | None, str]:
    """The exit status, None where it was ended after `limit` seconds, and what it printed."""
    # A group of its own, so that the servers and children that it began end with it.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        printed, _ = process.communicate(timeout=limit)
        return process.returncode, printed
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a benchmark and what it began: first as Ctrl+C would, so that it takes its folders with it."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)


def read(ended: int | None, printed: str) -> tuple[list[Row], Any]:
    """The rows of what a benchmark printed, and all of it."""
    if ended is None:
        return [failed(f"took over {LIMIT} s")], None
    try:
        found = json.loads(printed)
        rows = [{key: row[key] for key in ("case", "figure", "wanted", "reached")} for row in found["rows"]]
    except (ValueError, KeyError, TypeError):
        return [failed(f"exit status {ended}, no whole result")], None
    if not rows:
        rows = [failed("measured nothing")]
    elif ended != status(rows):
        rows.append(failed(f"exit status {ended}"))
    return rows, found


def failed(why: str) -> Row:
    """The row of a benchmark that gave no result."""
    return verdict("FAILED: its own words stand above", why, wanted="", reached=False)


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("mlx", "mlx-lm")},
    }


def main() -> int:
    """Run them, then print the table; with --json everything as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    options = parser.parse_args()
    on, begun, taken = machine(), time.perf_counter(), {}
    table: list[Row] = []
    for name in options.only:
        started = time.perf_counter()
        rows, found = run(name, BENCHES[name])
        taken[name] = {"seconds": time.perf_counter() - started, "found": found}
        table += [{**row, "case": f"{name:<11} {row['case']}"} for row in rows]
    said = [", ".join(f"{name} {value}" for name, value in on.items())]
    said.append(f"{time.perf_counter() - begun:.0f} s in all")
    print("\n".join(said), file=sys.stderr if options.json else sys.stdout)
    return finish(table, as_json=options.json, machine=on, benches=taken)


if __name__ == "__main__":
    sys.exit(main())
