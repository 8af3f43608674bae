"""A run's measurements as rows of a table, one for each iteration, and what they come to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from forgellm.domain.errors import ForgeError, PathNotFound
from forgellm.domain.metrics import mean_speed, stability
from forgellm.domain.runs import Run
from forgellm.services import runs
from forgellm.services.columns import MEASURED, Columns, columns
from forgellm.services.parts import Parts
from forgellm.services.space import check_writable
from forgellm.settings import importing_this
from forgellm.storage.events import events_path
from forgellm.storage.files import exclusive
from forgellm.storage.runs import run_folder

_DRAW_SECONDS = 120
T = TypeVar("T")


@dataclass(frozen=True)
class Curves:
    """`rows` have `iteration`, every key of MEASURED, `timestamp` and `seq`; None was not measured there."""

    rows: list[dict[str, object]]
    best_checkpoints: list[int]
    spec: Mapping[str, object]
    average_tokens_per_second: float | None
    peak_memory_gb: float | None
    stability: float | None


def curves(parts: Parts, run: Run, *, points: int | None = None) -> Curves:
    """Everything a page draws of a run, about `points` rows of it; what a resume repeated counts once, as it
    came out last. Raises ForgeError where the events cannot be read.
    """
    checkpoints = runs.status(parts, run).checkpoints
    with columns(run_folder(parts.workspace, run)) as known:
        return Curves(
            rows=_rows(known, known.places(points)),
            best_checkpoints=[c.iteration for c in checkpoints if c.rank is not None][:3],
            spec=run.spec,
            average_tokens_per_second=mean_speed(
                known.series("tokens_per_second"), known.series("iteration_seconds")
            ),
            peak_memory_gb=max((value for _, value in known.series("peak_memory_gb")), default=None),
            stability=stability(known.series("training_loss")),
        )


def _rows(known: Columns, places: Sequence[int]) -> list[dict[str, object]]:
    """One row for each iteration at which something was measured, ascending."""
    drawn = [_at(known.values[key], places) for key in MEASURED]
    values = [[None if value != value else value for value in column] for column in drawn]
    iterations = map(int, _at(known.iterations, places))
    rows = zip(iterations, *values, _at(known.times, places), _at(known.seqs, places), strict=True)
    keys = ("iteration", *MEASURED, "timestamp", "seq")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _at(column: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    return column if isinstance(places, range) else [column[place] for place in places]


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
