"""Publishing a checkpoint: a run of its own, refused here where it cannot succeed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import PurePosixPath

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import CheckpointNotFound, RunConflict, revived
from forgellm.domain.run_specs import spec_of
from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.jobs import launcher
from forgellm.services import runs
from forgellm.services.naming import check_name, free_name, names_alone
from forgellm.services.parts import Parts
from forgellm.services.space import check_writable
from forgellm.services.training import versions
from forgellm.storage.checkpoints import find_checkpoint
from forgellm.storage.runs import create_run, find_run, run_folder

_CHECKPOINT = re.compile(r"(\d{7,})_adapters\.safetensors")
_SETTINGS_IN_NAME = re.compile(r"_seq\d+_\d{4}-\d\d-\d\d_\d\d-\d\d(_\d+)?$")
_LONGEST_STEM = 90
"""With iteration and time behind it, it fits into what a name may have."""


def publish(parts: Parts, source: Run, *, iteration: int | None = None, name: str | None = None) -> Run:
    """Launch a run that publishes a checkpoint of `source`: the best one unless `iteration` is given.

    Without a `name` it is called after the run, the iteration and the time. Raises CheckpointNotFound,
    InvalidAdapter, UnknownSpec, InvalidField for an unusable name, RunConflict, ReadOnly.
    """
    chosen = chosen_checkpoint(parts, source, iteration)
    spec_of(source)
    check_writable(parts.workspace.published)
    with names_alone(parts):
        if name is None:
            wanted = _default_name(source, chosen.iteration, parts.clock())
            name = free_name(parts, parts.workspace.published, wanted)
        else:
            check_name(parts, name, parts.workspace.published, what="a published model")
        run = create_run(
            parts.workspace,
            RunKind.PUBLISH,
            spec={"run": source.id, "iteration": chosen.iteration, "name": name},
            name=None,
            created=parts.clock(),
            versions=versions(),
            base_fingerprint=source.base_fingerprint,
        )
    launcher.launch_new(parts.workspace, run, environment=parts.environment)
    return run


def _default_name(source: Run, iteration: int, now: datetime) -> str:
    stem = _SETTINGS_IN_NAME.sub("", PurePosixPath(source.folder).name)[:_LONGEST_STEM]
    return f"{stem}_{iteration:07d}_{now.astimezone():%Y%m%d_%H%M%S}"


def outcome(parts: Parts, run: Run, *, wait: Callable[[], None]) -> Mapping[str, object]:
    """The values of a publish run that has completed, waiting for it; `wait` is called between two looks.

    Raises the error it failed with, or RunConflict where it was stopped or cut off.
    """
    for _ in runs.follow(parts, run, after=0, wait=wait):
        pass
    return ended(parts, run)


def ended(parts: Parts, run: Run) -> Mapping[str, object]:
    """What `outcome` answers, of a run that is over: nothing is waited for, and nothing begun.

    Raises what `outcome` raises.
    """
    status = runs.status(parts, run)
    if status.failure is not None:
        raise revived(status.failure)
    if status.state is not RunState.COMPLETED or status.progress.end is None:
        raise RunConflict(
            f"{run.kind.value} run {run.id} ended early: it is {status.state.value}",
            details={"run": run.id, "state": status.state.value},
            suggestion="Ask for it again.",
        )
    return status.progress.end


def checkpoint_at(parts: Parts, text: str) -> tuple[Run, int]:
    """The run and the iteration that the path of a checkpoint means.

    Raises InvalidPath, RunNotFound, and CheckpointNotFound where it is no checkpoint's.
    """
    path = parts.workspace.resolve(text)
    match = _CHECKPOINT.fullmatch(path.name)
    if match is None:
        raise CheckpointNotFound(
            f"{text!r:.200} is no checkpoint",
            details={"checkpoint_path": text},
            suggestion="Give one that GET /api/checkpoints lists: it ends in _adapters.safetensors.",
        )
    return find_run(parts.workspace, parts.workspace.relative(path.parent)), int(match[1])


def chosen_checkpoint(parts: Parts, source: Run, iteration: int | None) -> Checkpoint:
    """The checkpoint of `source` at `iteration`, or the best one.

    Raises RunConflict where it trains nothing, CheckpointNotFound, InvalidAdapter.
    """
    if not source.kind.trains:
        raise RunConflict(
            f"run {source.id} trains nothing: its kind is {source.kind.value}",
            details={"run": source.id},
            suggestion="Name a cpt or ift run; `forgellm runs` lists them.",
        )
    if iteration is not None:
        return find_checkpoint(run_folder(parts.workspace, source), iteration)
    best = next((c for c in runs.checkpoints(parts, source) if c.is_best), None)
    if best is None:
        raise CheckpointNotFound(
            f"run {source.id} has no usable checkpoint",
            details={"run": source.id},
            suggestion=f"`forgellm checkpoints {source.id}` says what is wrong with those there are; "
            f"`forgellm runs log {source.id}` what the run did.",
        )
    return best
