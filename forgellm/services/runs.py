"""Finding runs, saying how they are, following them, putting them away and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import RunNotFound
from forgellm.domain.runs import Event, Run, RunState
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.services.progress import Progress, as_dict, fold
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import follow_events, read_events
from forgellm.storage.liveness import failure, state
from forgellm.storage.runs import find_run, list_runs, run_folder

_RANK = {RunState.RUNNING: 0, RunState.STOPPING: 0, RunState.PENDING: 1}


@dataclass(frozen=True)
class Status:
    """A run as it is now. `failure` has code, error and suggestion of a failed one."""

    run: Run
    state: RunState
    progress: Progress
    checkpoints: list[Checkpoint]
    failure: Mapping[str, object] | None


def status(parts: Parts, run: Run, *, verify: bool = False) -> Status:
    """How `run` is; with `verify`, every checkpoint's hash is computed again before it is listed."""
    folder = run_folder(parts.workspace, run)
    now = state(folder)
    return Status(
        run=run,
        state=now,
        progress=fold(events(parts, run)),
        checkpoints=checkpoints(parts, run, verify=verify) if run.kind.trains else [],
        failure=failure(folder) if now is RunState.FAILED else None,
    )


def checkpoints(parts: Parts, run: Run, *, verify: bool = True) -> list[Checkpoint]:
    """The run's checkpoints, best first, those with a problem last."""
    return read_checkpoints(run_folder(parts.workspace, run), verify=verify)


def statuses(parts: Parts, *, last: int | None = None) -> list[Status]:
    """All runs, or the `last` so many, the oldest first."""
    runs = list_runs(parts.workspace)
    return [status(parts, run) for run in (runs if last is None else runs[-last:])]


def find(parts: Parts, key: str | None, *, wanted: Callable[[Run, RunState], bool], sought: str) -> Run:
    """The run called `key` (id, number or folder), or the newest one that is `wanted`.

    Raises RunNotFound, which names what was `sought`.
    """
    if key is not None:
        return find_run(parts.workspace, key)
    known = [(run, state(run_folder(parts.workspace, run))) for run in reversed(list_runs(parts.workspace))]
    # What is going on is meant before what waits, and that before what is over.
    known.sort(key=lambda pair: _RANK.get(pair[1], len(_RANK)))
    for run, now in known:
        if wanted(run, now):
            return run
    raise RunNotFound(
        f"there is no {sought}",
        details={"workspace": str(parts.workspace.root)},
        suggestion="`forgellm runs` lists all runs of this workspace; --workspace names another one.",
    )


def has_checkpoints(parts: Parts, run: Run) -> bool:
    """Whether `run` trains and has something to publish; hashes are not looked at."""
    return run.kind.trains and any(c.rank for c in checkpoints(parts, run, verify=False))


def events(parts: Parts, run: Run) -> list[Event]:
    """Everything that happened so far."""
    return read_events(run_folder(parts.workspace, run))


def follow(parts: Parts, run: Run, *, after: int, wait: Callable[[], None]) -> Iterator[Event]:
    """The events with a number above `after`, as they come, until the run is over or paused.

    A worker starts the next pending run as it ends. One that crashed cannot, so this does it as well.
    """
    folder = run_folder(parts.workspace, run)

    def finished() -> bool:
        now = state(folder)
        if now is RunState.PENDING:
            launcher.launch_next(parts.workspace, environment=parts.environment)
        return not now.is_active

    yield from follow_events(folder, after=after, wait=wait, finished=finished)
    launcher.launch_next(parts.workspace, environment=parts.environment)


def log(parts: Parts, run: Run) -> str:
    """What the run's process wrote to its output, and why it ended badly if it did."""
    path = run_folder(parts.workspace, run) / "worker.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def as_values(status: Status) -> Mapping[str, object]:
    """Plain values for JSON."""
    run = status.run
    return {
        "id": run.id,
        "number": run.number,
        "kind": run.kind.value,
        "state": status.state.value,
        "folder": run.folder,
        "created": run.created.isoformat(),
        **as_dict(status.progress),
        "best_checkpoints": [c.iteration for c in status.checkpoints if c.rank is not None][:3],
        "failure": dict(status.failure) if status.failure else None,
        "spec": dict(run.spec),
        "versions": dict(run.versions),
        "base_fingerprint": run.base_fingerprint,
    }
