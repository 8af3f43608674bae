"""The page in a browser: until it is usable, from an event to its pixels, frames; `scripts/bench page` alone.

Ten runs, one of which has 200,000 points and goes on at 20 events a second, also while 100 clients watch it.
Writer and browser are on one machine, so that both ends of a latency read the same time. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from verdicts import Row, finish, verdict
from web_load import Client, a_run, play, server, write_events

from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DIST = Path(__file__).resolve().parents[1] / "static" / "dist"
OTHERS = 9
RATE = 20
"""Events a second."""

SHOWN_WITHIN = 300
"""Milliseconds from an event to the figure, for 95 of a hundred."""

SCRIPT_LIMIT = 300_000
MISSING = "no chromium is installed (Debian: apt install chromium)"

# When the heading stood, when the main thread was last busy for over 50 ms, when which iteration was painted.
# After a change the next frame draws it, and a message that was sent from there comes when that is done.
WATCH = """
const seen = (window.seen = { heading: null, busy: 0, figure: [], chart: [], frames: [] });
const painted = (then) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => then(performance.timeOrigin + performance.now());
  port2.postMessage(0);
});
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) seen.busy = Math.max(seen.busy, task.startTime + task.duration);
}).observe({ type: "longtask", buffered: true });
const number = (text) => Number((text ?? "").replace(/^[^0-9]*/, "").split(/[^0-9,]/)[0].replaceAll(",", ""));
const note = (list, at) => at && at !== list.at(-1)?.[0] && painted((when) => list.push([at, when]));
new MutationObserver(() => {
  if (seen.heading === null && document.querySelector("h1, .empty"))
    painted((when) => (seen.heading = when - performance.timeOrigin));
  note(seen.figure, number(document.querySelector(".run-figures dd")?.textContent));
  note(seen.chart, number(document.querySelector(".plot")?.ariaValueText?.replace(/:.*/, "")));
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
const frame = (now) => { seen.frames.push(now); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


@contextmanager
def browsing() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], env={})
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """A page in a window with nothing cached, watched from its first script on."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector("h1, .empty", timeout=120_000)
    yield page
    context.close()


def interactive(browser: Browser, address: str, *, times: int) -> float:
    """Milliseconds from the navigation until the heading is painted and the main thread free; the median."""
    taken: list[float] = []
    for _ in range(times):
        with opened(browser, address) as page:
            page.wait_for_timeout(1500)
            seen = page.evaluate("seen")
            taken.append(max(seen["heading"], seen["busy"]))
    return statistics.median(taken)


def latencies(written: dict[int, float], shown: list[tuple[int, float]]) -> dict[str, float | int | None]:
    """Milliseconds from writing each event to the first painting that shows it or a later one.

    None where fewer than two were shown.
    """
    waits = []
    for seq, when in written.items():
        came = next((at for iteration, at in shown if iteration >= seq), None)
        if came is not None:
            waits.append(came - 1000 * when)
    return {
        "p50": statistics.median(waits) if len(waits) > 1 else None,
        "p95": statistics.quantiles(waits, n=20)[18] if len(waits) > 1 else None,
        "written": len(written),
        "not_shown": len(written) - len(waits),
    }


def frames(times: list[float]) -> dict[str, float]:
    """Milliseconds between frames, and which part of the time went into those of over 50 ms."""
    gaps = [after - before for before, after in pairwise(times)]
    slow = sum(gap for gap in gaps if gap > 50)
    return {
        "p50": statistics.median(gaps),
        "p95": statistics.quantiles(gaps, n=20)[18],
        "longest": max(gaps),
        "slow_share": slow / sum(gaps),
    }


def streaming(
    browser: Browser, port: int, *, run: str, log: EventLog, events: range, clients: int
) -> dict[str, Any]:
    """`RATE` of the `events` a second, seen on the run's page while `clients` others watch."""
    with ExitStack() as stack:
        page = stack.enter_context(opened(browser, f"http://127.0.0.1:{port}/runs/{run}"))
        page.wait_for_selector(".plot canvas", timeout=120_000)
        page.wait_for_timeout(2000)
        page.evaluate("Object.assign(seen, { figure: [], chart: [], frames: [] })")
        watching = [Client(port, run, after=events[0] - 1) for _ in range(clients)]
        threads = [
            threading.Thread(
                target=client.read_until,
                args=(events[-1],),
                kwargs={"within": len(events) / RATE + 60},
                daemon=True,
            )
            for client in watching
        ]
        for thread in threads:
            thread.start()
        written: dict[int, float] = {}
        writer = threading.Thread(
            target=lambda: written.update(
                play(log, port, first=events[0], last=events[-1], rate=RATE, health=[])
            )
        )
        writer.start()
        # Playwright's own thread has to go on, or the page waits for it.
        while writer.is_alive():
            page.wait_for_timeout(200)
        for thread in threads:
            thread.join(60)
        page.wait_for_timeout(2000)
        seen = page.evaluate("seen")
    return {
        "figure_ms": latencies(written, seen["figure"]),
        "chart_ms": latencies(written, seen["chart"]),
        "frame_ms": frames(seen["frames"]),
    }


def scripts() -> dict[str, int]:
    """Bytes of all scripts, minified as they are served."""
    sizes = [path.stat().st_size for path in DIST.glob("*.js")]
    return {"bytes": sum(sizes), "files": len(sizes)}


def measured(*, points: int, duration: float, clients: int) -> dict[str, Any]:
    """Everything, in a workspace of its own with a run of `points`."""
    with tempfile.TemporaryDirectory() as folder:
        return _in_workspace(Path(folder), points=points, duration=duration, clients=clients)


def _in_workspace(root: Path, *, points: int, duration: float, clients: int) -> dict[str, Any]:
    workspace = Workspace.open(root)
    for number in range(1, OTHERS + 1):
        write_events(run_folder(workspace, a_run(workspace, number)), points // 10)
    run = a_run(workspace, OTHERS + 1)
    folder = run_folder(workspace, run)
    write_events(folder, points, ended=False)
    held = HeldLock.acquire(lock_path(folder))
    assert held is not None
    with server(root) as (port, _), browsing() as browser:
        at = f"http://127.0.0.1:{port}"
        loads = {
            "home": interactive(browser, at, times=5),
            "runs": interactive(browser, f"{at}/runs", times=5),
            "run": interactive(browser, f"{at}/runs/{run.id}", times=3),
        }
        log = EventLog(folder, lambda: datetime.now(timezone.utc))
        some = int(RATE * duration)
        first = range(points + 1, points + some + 1)
        alone = streaming(browser, port, run=run.id, log=log, events=first, clients=0)
        second = range(first[-1] + 1, first[-1] + some + 1)
        crowded = streaming(browser, port, run=run.id, log=log, events=second, clients=clients)
    held.release()
    return {"interactive_ms": loads, "alone": alone, "crowded": crowded, "scripts": scripts()}


def main() -> int:
    """Print the figures; 1 where what is promised is missed or there is no Chromium."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long each of the two live parts takes"
    )
    parser.add_argument("--points", type=int, default=200_000, help="of the run that is watched")
    parser.add_argument("--clients", type=int, default=100, help="that watch beside the browser")
    options = parser.parse_args()
    if CHROMIUM is None:
        print(f"Not measured: {MISSING}", file=sys.stderr)
        return 1
    result = measured(points=options.points, duration=options.seconds, clients=options.clients)
    if not options.json:
        print(table(result, options.clients))
    judged = [*rows(result), size(result["scripts"])]
    return finish(judged, as_json=options.json, **result)


def rows(result: dict[str, Any]) -> Iterator[Row]:
    """What is promised of the page: that every event comes, and soon."""
    for name in ("alone", "crowded"):
        figure = result[name]["figure_ms"]
        missing, p95 = figure["not_shown"], figure["p95"]
        figures = f"{missing} of {figure['written']}"
        yield verdict(f"events not shown, {name}", figures, wanted="0", reached=missing == 0)
        yield verdict(
            f"event to figure, p95, {name}",
            ms(p95),
            wanted=f"below {SHOWN_WITHIN} ms",
            reached=p95 is not None and p95 < SHOWN_WITHIN,
        )


def size(found: dict[str, int]) -> Row:
    """What is promised of the scripts: their size. None at all were not built."""
    return verdict(
        "bytes of script",
        f"{found['bytes']:,} in {found['files']} files",
        wanted=f"below {SCRIPT_LIMIT:,}",
        reached=0 < found["bytes"] < SCRIPT_LIMIT,
    )


def ms(value: float | None) -> str:
    """Milliseconds in words."""
    return "not measured" if value is None else f"{value:.0f} ms"


def table(result: dict[str, Any], clients: int) -> str:
    """The figures as text."""
    loads = result["interactive_ms"]
    lines = [
        f"interactive   home {loads['home']:.0f} ms, runs {loads['runs']:.0f} ms,"
        f" the long run {loads['run']:.0f} ms"
    ]
    for name, live in (("the page alone", result["alone"]), (f"{clients} more clients", result["crowded"])):
        figure, chart, frame = live["figure_ms"], live["chart_ms"], live["frame_ms"]
        lines += [
            f"{name}:",
            f"  event to figure   p50 {ms(figure['p50'])}, p95 {ms(figure['p95'])};"
            f" {figure['not_shown']} of {figure['written']} not shown",
            f"  event to chart    p50 {ms(chart['p50'])}, p95 {ms(chart['p95'])}",
            f"  frames            p50 {frame['p50']:.0f} ms, p95 {frame['p95']:.0f} ms,"
            f" longest {frame['longest']:.0f} ms; {100 * frame['slow_share']:.0f} % of the time over 50 ms",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
