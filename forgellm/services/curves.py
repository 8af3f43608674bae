"""A run's measurements as rows of a table, one for each iteration, and what they come to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from forgellm.domain.errors import ForgeError, PathNotFound
from forgellm.domain.metrics import current_events, series, stability
from forgellm.domain.runs import Event, Run
from forgellm.jobs.report import Report
from forgellm.services import runs
from forgellm.services.parts import Parts
from forgellm.services.progress import measured
from forgellm.services.space import check_writable
from forgellm.settings import importing_this
from forgellm.storage.events import events_path
from forgellm.storage.files import exclusive
from forgellm.storage.runs import run_folder

MEASURED = (
    "training_loss",
    "validation_loss",
    "general_validation_loss",
    "learning_rate",
    "tokens_per_second",
    "memory_usage_gb",
    "gradient_norm",
    "reward_margin",
    "reward_accuracy",
)
_DRAW_SECONDS = 120


@dataclass(frozen=True)
class Curves:
    """`rows` have `iteration`, `timestamp`, `seq` and every key of MEASURED; None was not measured there."""

    rows: list[dict[str, object]]
    best_checkpoints: list[int]
    spec: Mapping[str, object]
    average_tokens_per_second: float | None
    peak_memory_gb: float | None
    stability: float | None


def curves(parts: Parts, run: Run) -> Curves:
    """Everything a page draws of a run; what a resume repeated counts once, as it came out last."""
    events = runs.events(parts, run)
    status = runs.status(parts, run)
    report = Report(run, status.state, events, status.checkpoints)
    return Curves(
        rows=rows(events),
        best_checkpoints=[c.iteration for c in report.best_three],
        spec=run.spec,
        average_tokens_per_second=report.tokens_per_second,
        peak_memory_gb=report.peak_memory_gb,
        stability=stability(series(events, "training_loss")),
    )


def rows(events: Sequence[Event]) -> list[dict[str, object]]:
    """One row for each iteration at which something was measured, ascending."""
    table: dict[int, dict[str, object]] = {}
    for event in current_events(events):
        iteration = event.get("iteration")
        if event["type"] not in ("train", "validation") or type(iteration) is not int:
            continue
        row = table.setdefault(iteration, {"iteration": iteration, **dict.fromkeys(MEASURED)})
        row.update({key: measured(event[key]) for key in MEASURED if event.get(key) is not None})
        row.update(timestamp=str(event.get("time")), seq=event["seq"])
    return [table[iteration] for iteration in sorted(table)]


def thinned(rows: Sequence[dict[str, object]], count: int) -> list[dict[str, object]]:
    """About `count` of the rows, evenly spaced; every row with a validation and the last one stay."""
    step = max(1, len(rows) // count)
    last = len(rows) - 1
    return [
        row for n, row in enumerate(rows) if n % step == 0 or n == last or row["validation_loss"] is not None
    ]


def picture(parts: Parts, run: Run) -> Path:
    """The run's training_dashboard.png, drawn anew where events came after it.

    Drawing takes a second or two and a process of its own: Matplotlib has no place in a server. One picture
    is drawn at a time, and who waited for it takes the one that was drawn meanwhile.
    Raises PathNotFound for a run that measures nothing, ReadOnly, ForgeError where drawing fails.
    """
    asked = parts.clock().timestamp()
    folder = run_folder(parts.workspace, run)
    if not run.kind.trains or not events_path(folder).exists():
        raise PathNotFound(
            f"run {run.id} has no dashboard",
            details={"run": run.id},
            suggestion="A cpt or ift run has one as soon as its worker has begun.",
        )
    target = folder / "training_dashboard.png"
    if not _is_drawn(target, since=events_path(folder).stat().st_mtime):
        with exclusive(parts.workspace.private / "draw.lock"):
            if not _is_drawn(target, since=asked):
                check_writable(folder)
                _draw(parts, run, folder)
    return target


def _is_drawn(target: Path, *, since: float) -> bool:
    """Whether the picture is there and that new. A link in its place is none: drawing replaces it."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return False
    return S_ISREG(status.st_mode) and status.st_mtime >= since


def _draw(parts: Parts, run: Run, folder: Path) -> None:
    command = [sys.executable, "-m", "forgellm.jobs.draw", str(folder)]
    try:
        subprocess.run(
            command,
            env=importing_this(parts.environment),
            capture_output=True,
            timeout=_DRAW_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        output = getattr(error, "stderr", b"") or b""
        raise ForgeError(
            f"the dashboard of run {run.id} could not be drawn",
            details={"run": run.id, "reason": (output.decode(errors="replace").splitlines() or [""])[-1]},
            suggestion="GET /api/dashboard/data has the figures. Is the run's folder writable?",
        ) from error
