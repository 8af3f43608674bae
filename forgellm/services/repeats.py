"""Work that is wanted again while it is being done: clients that lose patience ask once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from forgellm.domain.runs import Run, RunKind
from forgellm.services.parts import Parts
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder


def under_way(parts: Parts, kind: RunKind, values: Mapping[str, object]) -> Iterator[Run]:
    """The runs of that kind that wait or run and whose spec has these values, the newest first; None is that
    of a field that is not there."""
    for run in reversed(list_runs(parts.workspace)):
        same = run.kind is kind and all(run.spec.get(field) == value for field, value in values.items())
        if same and state(run_folder(parts.workspace, run)).is_active:
            yield run
