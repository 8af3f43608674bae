"""Runs made for tests of what lies on disk, without anything to train."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone

from forgellm.domain.runs import Run, RunKind
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace

NOON = datetime(2025, 1, 15, 12, 0, 0, tzinfo=timezone.utc)


def noon() -> datetime:
    """A clock that stands still."""
    return NOON


def new_run(
    workspace: Workspace,
    kind: RunKind = RunKind.CPT,
    *,
    name: str | None = None,
    created: datetime = NOON,
    spec: dict[str, object] | None = None,
) -> Run:
    """A pending run."""
    return create_run(
        workspace,
        kind,
        spec=spec or {"dataset": "marks"},
        name=name,
        created=created,
        versions={"mlx": "0.32.4"},
        base_fingerprint="abc",
    )


def adopt(workspace: Workspace, run: Run, *, elsewhere: Workspace) -> Run:
    """That run of another workspace, as one of this workspace: training it again would take seconds."""
    shutil.copytree(run_folder(elsewhere, run), run_folder(workspace, run))
    return run
