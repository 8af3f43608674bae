"""Finding runs, saying how they are, following them, putting them away and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import ForgeError, PathNotFound, RunNotFound
from forgellm.domain.runs import Event, Run, RunKind, RunState, state_of
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.services.progress import PACE_WINDOW, Progress, as_dict, fold, timed
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import (
    events_after,
    events_backwards,
    events_of,
    events_path,
    follow_events,
    last_event,
    read_events,
)
from forgellm.storage.files import Version, own_file, settled_version
from forgellm.storage.labels import Label, read_label
from forgellm.storage.liveness import failure, state, waits
from forgellm.storage.runs import find_run, list_runs, run_folder

# More than lie between two iterations of any run, few enough to be read at each look at the run.
_TAIL = 1000
_RANK = {RunState.RUNNING: 0, RunState.STOPPING: 0, RunState.PENDING: 1}


@dataclass(frozen=True)
class Status:
    """A run as it is now. `failure` has code, error and suggestion of a failed one."""

    run: Run
    label: Label
    state: RunState
    progress: Progress
    checkpoints: list[Checkpoint]
    failure: Mapping[str, object] | None


@dataclass(frozen=True)
class Summary:
    """A run in a list. `problem` says why something of it cannot be read; its state is then `failed`."""

    run: Run
    state: RunState
    progress: Progress
    problem: str | None = None


@dataclass(frozen=True)
class Page:
    """Some `runs` of the `total` that were asked for."""

    runs: list[Summary]
    total: int


def status(parts: Parts, run: Run, *, verify: bool = False) -> Status:
    """How `run` is; with `verify`, every checkpoint is compared with its hash before it is listed."""
    folder = run_folder(parts.workspace, run)
    now, unknown = _readable_state(folder)
    cause = failure(folder) if now is RunState.FAILED and not unknown else None
    return Status(
        run=run,
        label=read_label(folder),
        state=now,
        progress=_readable_progress(folder)[0],
        checkpoints=checkpoints(parts, run, verify=verify) if run.kind.trains else [],
        failure=_unknown(unknown) if unknown else cause,
    )


def checkpoints(parts: Parts, run: Run, *, verify: bool = True) -> list[Checkpoint]:
    """The run's checkpoints, best first, those with a problem last."""
    return read_checkpoints(run_folder(parts.workspace, run), verify=verify)


def progress_at(parts: Parts, run: Run, *, seq: int | None = None) -> Progress:
    """How far the run had come after event `seq` (None: after the last one), without reading all of them.

    It is what `fold` makes of all events up to there. Raises ForgeError where they cannot be read.
    """
    return _progress(run_folder(parts.workspace, run), seq)


def summaries(
    parts: Parts,
    *,
    kind: RunKind | None = None,
    state: RunState | None = None,
    newest_first: bool = True,
    limit: int | None = None,
    offset: int = 0,
) -> Page:
    """At most `limit` runs of that kind and in that state, after the first `offset` of them.

    Cheap: no checkpoint is looked at, and only the progress of the runs on the page. Folders without a
    readable run.json are left out, as everywhere; a run of which something else cannot be read is listed.
    """
    known = [run for run in list_runs(parts.workspace) if kind in (None, run.kind)]
    if newest_first:
        known.reverse()
    if state is not None:
        known = [run for run in known if _is(run_folder(parts.workspace, run), state)]
    page = known[offset:] if limit is None else known[offset : offset + limit]
    return Page([summary(parts, run) for run in page], len(known))


def statuses(parts: Parts, *, last: int | None = None) -> list[Status]:
    """All runs, or the `last` so many, the oldest first."""
    runs = list_runs(parts.workspace)
    found = []
    for run in runs if last is None else runs[-last:]:
        # It may have been deleted since it was listed.
        with suppress(RunNotFound):
            found.append(status(parts, run))
    return found


def find(parts: Parts, key: str | None, *, wanted: Callable[[Run, RunState], bool], sought: str) -> Run:
    """The run called `key` (id, number or folder), or the newest one that is `wanted`.

    Raises RunNotFound, which names what was `sought`.
    """
    if key is not None:
        return find_run(parts.workspace, key)
    newest_first = reversed(list_runs(parts.workspace))
    known = [(run, _readable_state(run_folder(parts.workspace, run))[0]) for run in newest_first]
    # What is going on is meant before what waits, and that before what is over.
    known.sort(key=lambda pair: _RANK.get(pair[1], len(_RANK)))
    for run, now in known:
        if wanted(run, now):
            return run
    way_out = "`forgellm runs` lists all runs" if known else "`forgellm train` starts the first run"
    raise RunNotFound(
        f"there is no {sought}",
        details={"workspace": str(parts.workspace.root)},
        suggestion=f"{way_out} of this workspace; --workspace names another one.",
    )


def has_checkpoints(parts: Parts, run: Run) -> bool:
    """Whether `run` trains and has something to publish; hashes are not looked at."""
    return run.kind.trains and any(c.rank for c in checkpoints(parts, run, verify=False))


def events(
    parts: Parts,
    run: Run,
    *,
    after: int = 0,
    limit: int | None = None,
    types: Collection[str] | None = None,
) -> list[Event]:
    """What happened so far: the events with a number above `after`, oldest first, at most `limit`.

    With `types` only those, found without parsing the many others.
    """
    folder = run_folder(parts.workspace, run)
    if types is None:
        return read_events(folder, after=after, limit=limit)
    return list(islice((e for e in events_of(folder, types) if int(str(e["seq"])) > after), limit))


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
    # What keeps another run from being started is no failure of this one.
    with suppress(ForgeError, OSError):
        launcher.launch_next(parts.workspace, environment=parts.environment)


def log(parts: Parts, run: Run, *, last_bytes: int | None = None) -> str:
    """What the run's process wrote to its output, and why it ended badly if it did.

    With `last_bytes` no more than these are read; it then begins with a whole line, where one begins there.
    Raises PathNotFound where it is no file that can be read.
    """
    try:
        with open(run_folder(parts.workspace, run) / "worker.log", "rb", opener=own_file) as file:
            size = file.seek(0, os.SEEK_END)
            start = 0 if last_bytes is None else max(0, size - last_bytes)
            # One byte more shows whether a line begins at `start`.
            file.seek(max(0, start - 1))
            data = file.read(size - max(0, start - 1))
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise PathNotFound(
            f"run {run.id} has no log that can be read: {error.strerror}",
            details={"run": run.id, "path": f"{run.folder}/worker.log"},
            suggestion="Its events say what happened.",
        ) from error
    cut = data.find(b"\n") + 1 or 1
    return (data[cut:] if start else data).decode(errors="replace")


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
        "name": status.label.name,
        "notes": status.label.notes,
        "tags": list(status.label.tags),
        **as_dict(status.progress),
        "best_checkpoints": [c.iteration for c in status.checkpoints if c.rank is not None][:3],
        "failure": dict(status.failure) if status.failure else None,
        "spec": dict(run.spec),
        "versions": dict(run.versions),
        "base_fingerprint": run.base_fingerprint,
    }


def summary(parts: Parts, run: Run) -> Summary:
    """The run as it stands in a list."""
    folder = run_folder(parts.workspace, run)
    progress, unread = _readable_progress(folder)
    if progress.end is not None:
        # Nothing but another event can change the state now, and that has been looked for already.
        return Summary(run, state_of([progress.end], alive=False), progress)
    now, unknown = _readable_state(folder)
    return Summary(run, now, progress, unread or unknown)


def _is(folder: Path, wanted: RunState) -> bool:
    """Whether the run is in that state. Of the many that do not wait one file is read."""
    if wanted is RunState.PENDING and not waits(folder):
        return False
    return _readable_state(folder)[0] is wanted


def _readable_state(folder: Path) -> tuple[RunState, str | None]:
    """The state, and what keeps it from being known: nobody can go on with such a run."""
    try:
        return state(folder), None
    except (IsADirectoryError, PermissionError) as error:
        return RunState.FAILED, f"{Path(error.filename).name} cannot be read: {error.strerror}"


def _unknown(problem: str) -> Mapping[str, object]:
    """The failure of a run whose state cannot be known."""
    return {
        "code": ForgeError.code,
        "error": problem,
        "suggestion": "Make it a readable file again, or move the run's folder away.",
    }


def _readable_progress(folder: Path) -> tuple[Progress, str | None]:
    version = settled_version(events_path(folder))
    try:
        return _progress(folder, None) if version is None else _latest_progress(folder, version), None
    except ForgeError as error:
        return Progress(), error.message


# Of the runs in a list nearly all are over.
@lru_cache(maxsize=4096)
def _latest_progress(folder: Path, _version: Version) -> Progress:
    return _progress(folder, None)


def _progress(folder: Path, seq: int | None) -> Progress:
    """The last iterations say nearly everything; what they do not was said last by the validation before
    them, and by the phases before the first iteration: every resume passes through the same ones again.
    """
    tail, whole = _tail(folder, seq)
    if whole:
        return fold(tail)
    measured = any(event["type"] == "validation" for event in tail)
    validation = None if measured else last_event(folder, ("validation",), upto=seq)
    head = takewhile(lambda event: timed(event) is None, events_after(folder, 0))
    return fold([*islice(head, _TAIL), *([validation] if validation else []), *tail])


def _tail(folder: Path, seq: int | None) -> tuple[list[Event], bool]:
    """The last events, with enough iterations to tell the pace, and whether they are all there are."""
    tail: list[Event] = []
    iterations = 0
    for event in events_backwards(folder, upto=seq):
        if iterations == PACE_WINDOW or len(tail) == _TAIL:
            return tail[::-1], False
        tail.append(event)
        iterations += timed(event) is not None
    return tail[::-1], True
