"""Exporting what a run has learned: its best checkpoint is published, then the published model exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.services import exporting, publishing
from forgellm.services.marks import mark, marks_of
from forgellm.services.parts import Parts
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder

_MARK = "job"


class ExportFailed(ForgeError):
    """There is no such export, or it has ended without a result."""

    code = "EXPORT_FAILED"
    status = 404


def export_job(
    parts: Parts, source: Run, *, format: str, gguf_type: str | None, wait: Callable[[], None]
) -> Run:
    """Launch the export, once the best checkpoint is published, which is waited for unless it is already.
    What cannot be exported is refused before.

    Raises what publishing and exporting raise.
    """
    exporting.check_form(parts, str(source.spec.get("model_name")), format=format, gguf_type=gguf_type)
    model = _published(parts, source) or _publish(parts, source, wait=wait)
    run = exporting.export_model(parts, model, format=format, gguf_type=gguf_type)
    mark(parts, run, {_MARK: source.id})
    return run


def exported_folder(parts: Parts, source: Run, *, format: str, wait: Callable[[], None]) -> Path:
    """Where the newest export of `source` in that format lies, waiting for it.

    Raises ExportFailed where there is none, and what it failed with.
    """
    known = (run for run in reversed(list_runs(parts.workspace)) if run.kind is RunKind.EXPORT)
    wanted = (
        r for r in known if r.spec.get("format") == format and marks_of(parts, r).get(_MARK) == source.id
    )
    run = next(wanted, None)
    if run is None:
        raise ExportFailed(
            f"run {source.id} was not exported as {format}",
            details={"run": source.id, "format": format},
            suggestion="Export it first.",
        )
    folder = parts.workspace.resolve(str(publishing.outcome(parts, run, wait=wait)["export_path"]))
    if not folder.is_dir():
        raise ExportFailed(
            f"the export of run {source.id} as {format} was deleted", suggestion="Export it again."
        )
    return folder


def _published(parts: Parts, source: Run) -> str | None:
    """The model that the best checkpoint has been published as."""
    best = publishing.chosen_checkpoint(parts, source, None).iteration
    for run in reversed(list_runs(parts.workspace)):
        ours = run.kind is RunKind.PUBLISH and run.spec.get("run") == source.id
        if ours and run.spec.get("iteration") == best:
            if state(run_folder(parts.workspace, run)) is not RunState.COMPLETED:
                continue
            place = str(publishing.outcome(parts, run, wait=_no_wait)["published_model_path"])
            if parts.workspace.resolve(place).is_dir():
                return place
    return None


def _publish(parts: Parts, source: Run, *, wait: Callable[[], None]) -> str:
    run = publishing.publish(parts, source)
    return str(publishing.outcome(parts, run, wait=wait)["published_model_path"])


def _no_wait() -> None:
    """The run is over."""
