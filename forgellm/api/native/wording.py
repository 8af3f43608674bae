"""How the native API writes what the core knows: minutes, gigabytes, times in UTC, progress in percent."""

from __future__ import annotations

from datetime import datetime, timezone

from forgellm.domain.runs import Run, RunState
from forgellm.domain.spec import DEFAULT_ITERATIONS
from forgellm.services.progress import Progress

GPU_UTILIZATION = "MLX does not report how busy the GPU is, and no permission-free way to ask macOS is known"
"""Why `gpu_utilization` is null everywhere."""


def utc(moment: datetime) -> str:
    """`2025-01-15T10:30:00Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def minutes(seconds: float | None) -> int | None:
    """Whole minutes, rounded."""
    return None if seconds is None else round(seconds / 60)


def megabytes(size: int) -> float:
    return round(size / 1e6, 3)


def gigabytes(size: int) -> float:
    return round(size / 1e9, 3)


def percentage(progress: Progress, state: RunState) -> float:
    """Share of the iterations that are done, 0 to 100; a run that completed has done all it had to."""
    if state is RunState.COMPLETED:
        return 100.0
    return round(100 * (progress.fraction or 0.0), 1)


def iterations(run: Run, progress: Progress) -> int | None:
    """How many the run is to have; None for epochs until the worker has counted its batches."""
    if progress.total_iterations is not None or not run.kind.trains:
        return progress.total_iterations
    asked = run.spec.get("max_iterations")
    if isinstance(asked, int):
        return asked
    return None if run.spec.get("epochs") is not None else DEFAULT_ITERATIONS
