"""Every benchmark in turn, small enough for fifteen minutes on two cores; `scripts/bench all` runs it.

Each is a process of its own and takes its ratios side by side. The page needs Chromium: without it this says
so. What it all came to is a table, and with --json also the machine and every figure. Exits 1 on a miss.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent

# Which, and how much of each: the figures of all of them in docs/performance.md come from longer runs.
BENCHES: dict[str, list[str]] = {
    "memory": ["--rounds", "1"],
    "plan": ["--only", "32k 4x256"],
    "training": ["--epochs", "1"],
    "learning": ["--quick"],
    "generation": ["--rounds", "5"],
    "data": ["--sizes", "20", "40", "80"],
    "web": ["--seconds", "8", "--points", "20000", "--runs", "200"],
}


@dataclass(frozen=True)
class Row:
    """One figure and what is wanted of it, in words; `reached` is None where nothing is."""

    bench: str
    case: str
    figure: str
    wanted: str
    reached: bool | None


def run(name: str, options: list[str]) -> tuple[Any, float]:
    """What a benchmark prints as JSON, None where it failed, and its seconds."""
    print(f"== {name}", file=sys.stderr, flush=True)
    begun = time.perf_counter()
    # The script knows which of them compute and which drive a browser.
    command = [str(HERE / "bench"), name, "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - begun
    return (json.loads(done.stdout) if done.stdout.strip() else None), seconds


def rows(name: str, found: Any) -> Iterator[Row]:
    """What a benchmark found as lines of the table."""
    if found is None:
        yield Row(name, "failed: its own words stand above", "", "", False)
    elif name == "generation":
        for case, ratio in found["ratios"].items():
            wanted = found["wanted"][case]
            yield Row(name, case, f"{ratio:.2f}", f"at least {wanted:.2f}", ratio >= wanted)
    elif name == "web":
        yield from _web(found)
    else:
        for one in found:
            yield Row(name, one["case"], *_compared(one), one["reached"])


def _compared(one: dict[str, Any]) -> tuple[str, str]:
    """A ratio, or those of peak and time, and what is wanted of them."""
    if "ratio" in one:
        bound = one["wanted"]
        if not isinstance(bound, str):
            bound = f"at {'least' if one.get('at_least', True) else 'most'} {bound:.2f}"
        return f"{one['ratio']:.2f}", bound
    kinds = [kind for kind in ("peak", "time") if one[f"{kind}_ratio"] is not None]
    figures = ", ".join(f"{kind} {one[f'{kind}_ratio']:.2f}" for kind in kinds)
    bounds = [f"{one[f'wanted_{kind}_ratio']:.2f}" for kind in kinds if one[f"wanted_{kind}_ratio"]]
    return figures, f"at most {', '.join(bounds)}"


def _web(found: dict[str, Any]) -> Iterator[Row]:
    live, scripts, page = found["server"]["live"], found["scripts"], found["page"]
    lost = live["lost"] + live["repeated"]
    yield Row("web", f"{live['clients']} clients, lost or twice", str(lost), "0", lost == 0)
    for name, part in (("runs", found["server"]["runs"]), ("events", found["server"]["events"])):
        for key, ratio in part["ratio"].items():
            yield Row("web", f"growth of {name} / size: {key}", f"{ratio:.2f}", "", None)
    below = scripts["wanted_below"]
    yield Row("web", "bytes of script", f"{scripts['bytes']:,}", f"below {below:,}", scripts["bytes"] < below)
    if page is None:
        yield Row("web", "THE PAGE WAS NOT MEASURED: no Chromium", "", "", None)
        return
    for name in ("alone", "crowded"):
        p95 = page[name]["figure"]["p95"]
        yield Row("web", f"event to figure, p95 in ms, {name}", f"{p95:.0f}", "below 300", p95 < 300)


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
        found, seconds = run(name, BENCHES[name])
        taken[name] = {"seconds": seconds, "found": found}
        table += rows(name, found)
    out = sys.stderr if options.json else sys.stdout
    print(", ".join(f"{name} {value}" for name, value in on.items()), file=out)
    for row in table:
        mark = "" if row.reached is None else "reached" if row.reached else "MISSED"
        print(f"{row.bench:<11} {row.case:<58} {row.figure:>20}  {row.wanted:<18} {mark}", file=out)
    print(f"{time.perf_counter() - begun:.0f} s in all", file=out)
    if options.json:
        print(
            json.dumps({"machine": on, "table": [asdict(row) for row in table], "benches": taken}, indent=2)
        )
    return 0 if all(row.reached is not False for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
