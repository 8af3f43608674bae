"""Exporting what a run has learned: its best checkpoint is published, then the published model exported.

Which export belongs to which run follows from what was published, not from a label, which anybody may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from forgellm.domain.errors import ForgeError, RunConflict
from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.jobs import launcher
from forgellm.services import exporting, publishing
from forgellm.services.parts import Parts
from forgellm.services.repeats import under_way
from forgellm.storage.files import exclusive
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder

_LOOKS = 50
"""How often an export that no worker has taken up is looked at before it counts as left behind."""


class ExportFailed(ForgeError):
    """There is no such export, or it has ended without a result."""

    code = "EXPORT_FAILED"
    status = 404


def export_job(
    parts: Parts, source: Run, *, format: str, gguf_type: str | None, wait: Callable[[], None]
) -> Run:
    """Launch the export, once the best checkpoint is published, which is waited for unless it is already.

    What cannot be exported is refused before, and who asks again while the same export goes on is given that
    one. Raises what publishing and exporting raise.
    """
    exporting.check_form(parts, str(source.spec.get("model_name")), format=format, gguf_type=gguf_type)
    model = _publication(parts, source, wait=wait)
    with exclusive(parts.workspace.private / "export.lock"):
        _, kind, numbers = exporting.check_form(parts, model, format=format, gguf_type=gguf_type)
        wanted = {"model_name": model, "format": kind.value, "gguf_type": numbers and numbers.name}
        run = next(under_way(parts, RunKind.EXPORT, wanted), None)
        if run is None:
            return exporting.export_model(parts, model, format=format, gguf_type=gguf_type)
    # It waits for nobody else where whoever was to begin it has died.
    with suppress(RunConflict):
        launcher.launch(parts.workspace, run, environment=parts.environment)
    return run


def exported_folder(parts: Parts, source: Run, *, format: str, wait: Callable[[], None]) -> Path:
    """Where the newest export of `source` in that format lies, waiting for it. Nothing is begun.

    Raises ExportFailed where there is none, or it has ended without a result.
    """
    models = set(_publications(parts, source))
    known = (run for run in reversed(list_runs(parts.workspace)) if run.kind is RunKind.EXPORT)
    wanted = (r for r in known if r.spec.get("format") == format and r.spec.get("model_name") in models)
    run = next(wanted, None)
    if run is None:
        raise ExportFailed(
            f"run {source.id} was not exported as {format}",
            details={"run": source.id, "format": format},
            suggestion="Export it first.",
        )
    _await(parts, run, wait=wait)
    folder = parts.workspace.resolve(str(_ended(parts, run)["export_path"]))
    if not folder.is_dir():
        raise ExportFailed(
            f"the export of run {source.id} as {format} was deleted", suggestion="Export it again."
        )
    return folder


def _ended(parts: Parts, run: Run) -> Mapping[str, object]:
    try:
        return publishing.ended(parts, run)
    except ForgeError as error:
        failed = ExportFailed(error.message, details=error.details, suggestion=error.suggestion)
        failed.status = error.status
        raise failed from error


def _await(parts: Parts, run: Run, *, wait: Callable[[], None]) -> None:
    """Until the run is over; one that nobody has begun is waited for only as long as beginning takes."""
    folder, looks = run_folder(parts.workspace, run), 0
    while (now := state(folder)).is_active and looks < _LOOKS:
        looks = looks + 1 if now is RunState.PENDING else 0
        wait()


def _publication(parts: Parts, source: Run, *, wait: Callable[[], None]) -> str:
    """The model that the best checkpoint was published as, or is now."""
    with exclusive(parts.workspace.private / "export.lock"):
        best = publishing.chosen_checkpoint(parts, source, None).iteration
        for place in _publications(parts, source, iteration=best):
            if parts.workspace.resolve(place).is_dir():
                return place
        same = next(under_way(parts, RunKind.PUBLISH, {"run": source.id, "iteration": best}), None)
        run = same or publishing.publish(parts, source)
    return str(publishing.outcome(parts, run, wait=wait)["published_model_path"])


def _publications(parts: Parts, source: Run, *, iteration: int | None = None) -> Iterator[str]:
    """Where the checkpoints of `source`, or that of an iteration, were published, the newest first."""
    for run in reversed(list_runs(parts.workspace)):
        ours = run.kind is RunKind.PUBLISH and run.spec.get("run") == source.id
        meant = ours and iteration in (None, run.spec.get("iteration"))
        if meant and state(run_folder(parts.workspace, run)) is RunState.COMPLETED:
            yield str(publishing.ended(parts, run)["published_model_path"])
