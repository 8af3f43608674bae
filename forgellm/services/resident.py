"""What a model server can be asked for by name: base models, published models, runs, and a base with a run.

A name is turned into a target without reading weights. Loading it is not done here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from forgellm.domain.chat import Target
from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import (
    CheckpointNotFound,
    ForgeError,
    InvalidModel,
    InvalidPath,
    ModelNotFound,
    RunNotFound,
    nearest,
)
from forgellm.domain.runs import Run
from forgellm.services.models import Model, catalogue
from forgellm.services.parts import Parts
from forgellm.services.projects import newest_of_projects, run_of_project
from forgellm.storage.adapters import adapter_files
from forgellm.storage.checkpoints import find_checkpoint, read_checkpoints
from forgellm.storage.models import find_model
from forgellm.storage.runs import find_run, list_runs, read_run, run_folder

_SHOWN = 50


@dataclass(frozen=True)
class ModelName:
    """A name that can be asked for; `kind` is "base", "published", "run" or "project". `created` of
    what was downloaded is when its configuration was written."""

    name: str
    kind: str
    created: datetime


def known_names(parts: Parts) -> list[ModelName]:
    """Every name, base models first. A run is named by its id: its base with its best checkpoint."""
    found = catalogue(parts)
    base = _bases(parts, found.base)
    published = [ModelName(m.path, "published", m.created) for m in found.published if m.created is not None]
    runs = [ModelName(m.run.id, "run", m.run.created) for m in (*found.cpt, *found.ift) if m.run is not None]
    projects = newest_of_projects(parts, [m.run for m in (*found.cpt, *found.ift) if m.run is not None])
    theirs = [ModelName(name, "project", run.created) for name, run in projects.items()]
    return [*base, *published, *runs, *theirs]


def _bases(parts: Parts, models: Iterable[Model]) -> Iterator[ModelName]:
    for model in models:
        # It may have gone since it was listed.
        with suppress(ForgeError, OSError):
            yield ModelName(model.name, "base", written(parts, model.name))


def named(parts: Parts, name: str) -> Target:
    """What `name` means: a model, a run (`cpt_20250115_103045`, its number or folder), one of its checkpoints
    (`run@iteration`), a project's newest (`project:custom`), or a model with a run or an adapter's path
    (`base+run`).

    Raises ModelNotFound with the names there are, InvalidModel, UntrustedModelCode, CheckpointNotFound.
    """
    try:
        find_model(parts.workspace, parts.hub_cache, name)
        return Target(name)
    except (ModelNotFound, InvalidPath, InvalidModel) as error:
        found = _project_target(parts, name) or _run_target(parts, name) or _base_with_adapter(parts, name)
        if found is not None:
            return found
        if isinstance(error, InvalidModel):
            raise
        raise _unknown(parts, name, error) from error


def of_run(parts: Parts, key: str, iteration: int | None, *, base: str | None = None) -> Target:
    """A run's base, or another one, with the checkpoint at `iteration`, or with the best.

    Raises RunNotFound, CheckpointNotFound, InvalidAdapter.
    """
    run = find_run(parts.workspace, key)
    if not run.kind.trains:
        raise RunNotFound(
            f"run {run.id} did not train anything",
            details={"run": run.id},
            suggestion="Name a training run, of kind cpt or ift.",
        )
    model_name = base or str(run.spec.get("model_name"))
    return Target(model_name, _checkpoint(parts, run, iteration).path)


def trained_by(parts: Parts, target: Target) -> tuple[str | None, int | None]:
    """(id of the run that the target's adapter comes from, the iteration of its checkpoint), where known."""
    if target.adapter_path is None:
        return None, None
    try:
        folder, weights = adapter_files(parts.workspace.resolve(target.adapter_path))
    except InvalidPath:
        return None, None
    run = read_run(folder)
    number = weights.name.partition("_")[0]
    return (None if run is None else run.id), (int(number) if number.isdecimal() else None)


def written(parts: Parts, name: str) -> datetime:
    """When the configuration of the model `name` was written. Raises what `find_model` raises."""
    config = find_model(parts.workspace, parts.hub_cache, name).path / "config.json"
    return datetime.fromtimestamp(config.stat().st_mtime, timezone.utc)


def label(target: Target) -> str:
    """A name by which `named` finds the target again."""
    return target.model_name if target.adapter_path is None else f"{target.model_name}+{target.adapter_path}"


def _checkpoint(parts: Parts, run: Run, iteration: int | None) -> Checkpoint:
    folder = run_folder(parts.workspace, run)
    # Whoever loads it compares it with its hash.
    usable = [c for c in read_checkpoints(folder, verify=False) if c.problem is None]
    if iteration is not None:
        chosen = next((c for c in usable if c.iteration == iteration), None)
        return chosen or find_checkpoint(folder, iteration)
    if not usable:
        raise CheckpointNotFound(
            f"run {run.id} has no checkpoint yet",
            details={"run": run.id},
            suggestion="Wait for its first one: it is saved every save_every iterations.",
        )
    return usable[0]


def _run_target(parts: Parts, name: str, *, base: str | None = None) -> Target | None:
    """The target of `run` or `run@iteration`; None where there is no such run."""
    key, at, number = name.rpartition("@")
    if not at or not number.isdecimal():
        key, number = name, ""
    for spelling in (key, f"models/{key}"):
        try:
            return of_run(parts, spelling, int(number) if number else None, base=base)
        except (RunNotFound, InvalidPath):
            continue
    return None


def _project_target(parts: Parts, name: str) -> Target | None:
    run = run_of_project(parts, name)
    return None if run is None else of_run(parts, run.id, None)


def _base_with_adapter(parts: Parts, name: str) -> Target | None:
    base, plus, adapter = name.rpartition("+")
    if not plus or not base:
        return None
    try:
        find_model(parts.workspace, parts.hub_cache, base)
    except ForgeError:
        return None
    return _run_target(parts, adapter, base=base) or _adapter_path(parts, base, adapter)


def _adapter_path(parts: Parts, base: str, adapter: str) -> Target | None:
    try:
        folder, weights = adapter_files(parts.workspace.resolve(adapter))
    except InvalidPath:
        return None
    return Target(base, adapter) if (folder / "adapter_config.json").is_file() and _is_file(weights) else None


def _is_file(path: Path) -> bool:
    return path.suffix == ".safetensors" and path.is_file()


def _unknown(parts: Parts, name: str, error: ForgeError) -> ModelNotFound:
    runs = [run.id for run in list_runs(parts.workspace) if run.kind.trains]
    models = error.details.get("known")
    known = [*(models if isinstance(models, list) else []), *runs]
    near = nearest(name, known)
    return ModelNotFound(
        error.message,
        details={"model": name[:200], **error.details, "known": known[:_SHOWN], "nearest": near},
        suggestion=f"Did you mean {near!r}? `forgellm models`, or GET /v1/models, lists all."
        if near
        else error.suggestion,
    )
