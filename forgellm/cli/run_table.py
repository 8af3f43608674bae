"""Runs on the terminal: all of them as a table, one of them in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from forgellm.cli.checkpoint_table import checkpoint_lines
from forgellm.cli.errors import printable
from forgellm.cli.tables import MISSING, NAME_ENDS, duration, figure, table
from forgellm.domain.runs import RunState
from forgellm.domain.spec import defaults
from forgellm.storage.labels import Label

if TYPE_CHECKING:
    from forgellm.services.runs import Status

_HEADERS = ("number", "run", "state", "iteration", "best loss", "model", "data", "created")


def run_table(statuses: Sequence[Status], *, width: int | None = None) -> list[str]:
    """One line for each run, of the figures that find room in `width`."""
    if not statuses:
        return ["No runs. `forgellm train` starts one."]
    return table(
        _HEADERS,
        [_row(s) for s in statuses],
        left=("run", "state", "model", "data", "created"),
        width=width,
        narrow=(("created", 0), ("data", NAME_ENDS), ("data", 0), ("model", NAME_ENDS)),
    )


def run_lines(status: Status, *, width: int | None = None) -> list[str]:
    """Everything about one run that a person wants to see; its checkpoints in lines of `width`."""
    run = status.run
    facts = [
        ("run", f"{run.id} (number {run.number})"),
        *((name, printable(words)) for name, words in _written(status.label) if words),
        ("state", status.state.value),
        ("folder", run.folder),
        ("created", f"{run.created:%Y-%m-%d %H:%M:%S}"),
        *_measured(status),
        *_trouble(status),
        ("settings", "others have their defaults" if run.kind.trains else ""),
        *((f"  {name}", _shown(value)) for name, value in _chosen(run.spec).items()),
        ("versions", ", ".join(f"{name} {text}" for name, text in run.versions.items())),
    ]
    label = max(len(name) for name, _ in facts)
    lines = [f"{name:<{label}}  {value}".rstrip() for name, value in facts]
    return lines + (["", *checkpoint_lines(status.checkpoints, width=width)] if run.kind.trains else [])


def _written(label: Label) -> Iterator[tuple[str, str]]:
    yield "name", label.name
    yield "tags", ", ".join(label.tags)
    yield "notes", label.notes


def _row(status: Status) -> tuple[str, ...]:
    run, spec = status.run, status.run.spec
    best = next((c.validation_loss for c in status.checkpoints if c.is_best), None)
    return (
        str(run.number),
        run.id,
        status.state.value,
        _iterations(status) if run.kind.trains else MISSING,
        figure(best),
        str(spec.get("model_name") or spec.get("run") or MISSING),
        str(spec.get("dataset") or MISSING),
        f"{run.created:%Y-%m-%d %H:%M}",
    )


def _iterations(status: Status) -> str:
    total = status.progress.total_iterations
    return str(status.progress.iteration) + ("" if total is None else f"/{total}")


def _measured(status: Status) -> list[tuple[str, str]]:
    progress = status.progress
    if not status.run.kind.trains:
        return []
    left = [("time left", duration(progress.eta_seconds))] if status.state.is_active else []
    return [
        ("iteration", _iterations(status)),
        ("training loss", figure(progress.training_loss)),
        ("validation loss", figure(progress.validation_loss)),
        ("general loss", figure(progress.general_validation_loss)),
        ("tokens/s", figure(progress.tokens_per_second, ",.0f")),
        *left,
    ]


def _trouble(status: Status) -> list[tuple[str, str]]:
    failure = status.failure
    if status.state is RunState.INTERRUPTED and status.run.kind.trains:
        return [("what to do", f"`forgellm runs resume {status.run.id}` goes on from the last saved state.")]
    if failure is None:
        return []
    words = [("failure", f"{failure.get('error')} ({failure.get('code')})")]
    return words + ([("what to do", str(failure["suggestion"]))] if failure.get("suggestion") else [])


def _chosen(spec: Mapping[str, object]) -> Mapping[str, object]:
    """What differs from the defaults."""
    usual = defaults()
    return {name: value for name, value in spec.items() if name not in usual or value != usual[name]}


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or MISSING
    return MISSING if value is None else str(value)
