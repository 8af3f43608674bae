"""Runs of every kind: listing, one of them, its events, log and picture, and the trash."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, Field

from forgellm.api.errors import InvalidRequest
from forgellm.api.native.checkpoints import CheckpointItem, checkpoint_item
from forgellm.api.native.wording import iterations, percentage, utc
from forgellm.api.routes import Answer, Body, File, Query, Raw, Route
from forgellm.domain.errors import RunNotFound
from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.forge import Forge
from forgellm.services import curves, measurements, queue, runs
from forgellm.services.progress import Progress
from forgellm.services.runs import Summary
from forgellm.storage.labels import Label, read_label
from forgellm.storage.runs import find_run, list_runs, move_to_trash, restore_from_trash, run_folder

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LOG_BYTES = 1 << 18
_BINARY = "application/octet-stream"


class RunItem(BaseModel):
    id: str
    number: int
    kind: str
    state: str
    folder: str
    created: str
    name: str = Field("", description="what somebody called it")
    tags: list[str] = Field([])
    model_name: str | None
    dataset: str | None
    iteration: int
    total_iterations: int | None
    progress_percentage: float
    training_loss: float | None
    validation_loss: float | None
    eta_seconds: float | None
    problem: str | None = Field(None, description="why something of the run cannot be read")


class RunList(Answer):
    runs: list[RunItem]
    total: int = Field(description="how many there are in all, whatever the limit")
    waiting: list[str] = Field(description="the ids of all that are pending, the next one first")


class RunDetails(Answer):
    run: RunItem
    notes: str
    spec: dict[str, Any]
    versions: dict[str, str]
    checkpoints: list[CheckpointItem]
    best_checkpoints: list[int]
    failure: dict[str, Any] | None
    last_event: dict[str, Any] | None = Field(description="the event that ended the run")


class Listed(Query):
    kind: RunKind | None = None
    state: RunState | None = None
    limit: int = Field(100, ge=1, le=10_000)
    offset: int = Field(0, ge=0, le=10**9)


class After(Query):
    after: int = Field(0, ge=0, le=10**15, description="the events whose seq is greater")
    limit: int = Field(10_000, ge=1, le=10_000)
    types: str | None = Field(
        None, max_length=400, description="only these, by commas: validation,checkpoint; all if left out"
    )


class Events(Answer):
    events: list[dict[str, Any]]
    last_seq: int = Field(description="what `after` is to be next")
    more: bool


class Thinned(Query):
    points: int | None = Field(
        None, ge=10, le=10**6, description="about how many rows; all of them if left out"
    )


class Log(Answer):
    log: str


class Place(Body):
    before: str | None = Field(None, max_length=200, description="the run that is to start after it")
    after: str | None = Field(None, max_length=200, description="the run that is to start before it")


class Queue(Answer):
    message: str
    training_id: str
    waiting: list[str] = Field(description="the ids of all runs that wait, the next one to start first")


class Deleted(Answer):
    message: str
    training_id: str
    restore: str = Field(description="POST there to undo it")


class Restored(Answer):
    message: str
    training_id: str
    output_dir: str


def index(forge: Forge, query: Listed) -> RunList:
    """The runs, the newest first."""
    found = runs.summaries(forge, kind=query.kind, state=query.state, limit=query.limit, offset=query.offset)
    are_all = query.kind is None and query.state is None and len(found.runs) == found.total
    waiting = queue.waiting(forge, among=found.runs if are_all else None)
    return RunList(
        runs=[_listed(forge, summary) for summary in found.runs],
        total=found.total,
        waiting=[run.id for run in waiting],
    )


def show(forge: Forge, run_id: str) -> RunDetails:
    """One run: state, settings, checkpoints, and why it failed if it did."""
    run = find_run(forge.workspace, run_id)
    status = runs.status(forge, run)
    end = status.progress.end
    return RunDetails(
        run=_item(run, status.state, status.progress, label=status.label),
        notes=status.label.notes,
        spec=dict(run.spec),
        versions=dict(run.versions),
        checkpoints=[checkpoint_item(c) for c in status.checkpoints],
        best_checkpoints=[c.iteration for c in status.checkpoints if c.rank is not None][:3],
        failure=dict(status.failure) if status.failure else None,
        last_event=dict(end) if end else None,
    )


def _listed(forge: Forge, summary: Summary) -> RunItem:
    label = read_label(run_folder(forge.workspace, summary.run))
    item = _item(summary.run, summary.state, summary.progress, label=label)
    return item.model_copy(update={"problem": summary.problem})


def _item(run: Run, state: RunState, progress: Progress, *, label: Label) -> RunItem:
    # What a checkpoint is published as is what such a run is about.
    model, dataset = run.spec.get("model_name", run.spec.get("name")), run.spec.get("dataset")
    return RunItem(
        id=run.id,
        number=run.number,
        kind=run.kind.value,
        state=state.value,
        folder=run.folder,
        created=utc(run.created),
        name=label.name,
        tags=list(label.tags),
        model_name=model if isinstance(model, str) else None,
        dataset=dataset if isinstance(dataset, str) else None,
        iteration=progress.iteration,
        total_iterations=iterations(run, progress),
        progress_percentage=percentage(progress, state),
        training_loss=progress.training_loss,
        validation_loss=progress.validation_loss,
        eta_seconds=progress.eta_seconds,
    )


def events(forge: Forge, run_id: str, query: After) -> Events:
    """What happened in a run, oldest first, in pages."""
    run = find_run(forge.workspace, run_id)
    types = None if query.types is None else frozenset(query.types.split(","))
    found = runs.events(forge, run, after=query.after, limit=query.limit + 1, types=types)
    page = found[: query.limit]
    last = page[-1]["seq"] if page else query.after
    return Events(events=[dict(e) for e in page], last_seq=last, more=len(found) > len(page))


def log(forge: Forge, run_id: str) -> Log:
    """The last 256 KiB of what the run's process wrote."""
    return Log(log=runs.log(forge, find_run(forge.workspace, run_id), last_bytes=_LOG_BYTES))


def dashboard(forge: Forge, run_id: str) -> File:
    """The run's curves and summary as one picture of 1600 × 1000 pixels."""
    return File(curves.picture(forge, find_run(forge.workspace, run_id)), "image/png")


def measured(forge: Forge, run_id: str, query: Thinned) -> Raw:
    """Every measurement of a run as numbers in columns, for programs that draw.

    A line of JSON (`columns`, `rows`, `last_seq`) is filled up with spaces to a multiple of 8 bytes; then
    comes each column as little-endian 64-bit floats. NaN is what was not measured.
    """
    run = find_run(forge.workspace, run_id)
    return Raw(measurements.measurements(forge, run, points=query.points), _BINARY)


def move(forge: Forge, run_id: str, body: Place) -> Queue:
    """Let a pending run start before or after another one, or next. 409 where one is not pending."""
    run = find_run(forge.workspace, run_id)
    before, after = (
        None if key is None else find_run(forge.workspace, key) for key in (body.before, body.after)
    )
    waiting = queue.move(forge, run, before=before, after=after)
    return Queue(
        message=queue.place_of(run, waiting), training_id=run.id, waiting=[one.id for one in waiting]
    )


def delete(forge: Forge, run_id: str) -> Deleted:
    """Put a run that is over into the trash. 409 while it has a worker."""
    run = _by_id(forge, run_id)
    move_to_trash(forge.workspace, run)
    return Deleted(
        message=f"Run {run.id} is in the trash", training_id=run.id, restore=f"/api/runs/{run.id}/restore"
    )


def restore(forge: Forge, run_id: str) -> Restored:
    """Bring a run back from the trash."""
    run = restore_from_trash(forge.workspace, run_id)
    return Restored(message=f"Run {run.id} is back", training_id=run.id, output_dir=run.folder)


def _by_id(forge: Forge, run_id: str) -> Run:
    """Deleting takes an id alone: no number, and nothing that could be a path."""
    if not _ID.fullmatch(run_id):
        raise InvalidRequest(
            f"{run_id[:80]!r} is no id of a run",
            details={"run_id": run_id[:80]},
            suggestion="GET /api/runs lists the ids; one is cpt_20250115_103045.",
        )
    run = next((run for run in list_runs(forge.workspace) if run.id == run_id), None)
    if run is None:
        raise RunNotFound(
            f"there is no run {run_id}", details={"run": run_id}, suggestion="GET /api/runs lists the ids."
        )
    return run


ROUTES = (
    Route("GET", "/api/runs", index),
    Route("GET", "/api/runs/<run_id>", show),
    # A path in place of an id is to be refused as what it is, not as an unknown route.
    Route("DELETE", "/api/runs/<rest:run_id>", delete),
    Route("GET", "/api/runs/<run_id>/events", events),
    Route("GET", "/api/runs/<run_id>/measurements", measured, media_type=_BINARY),
    Route("GET", "/api/runs/<run_id>/log", log),
    Route("GET", "/api/runs/<run_id>/dashboard.png", dashboard, media_type="image/png"),
    Route("POST", "/api/runs/<run_id>/move", move),
    Route("POST", "/api/runs/<run_id>/restore", restore),
)
