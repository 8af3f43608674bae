"""What can be loaded, trained on or published: base models, training runs with weights, published models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from forgellm.domain.errors import ModelNotFound
from forgellm.domain.runs import Run, RunKind
from forgellm.services.parts import Parts
from forgellm.storage.models import list_base_models
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import visible_folders

_ADAPTER = "adapters.safetensors"


@dataclass(frozen=True)
class Model:
    """`path` is relative to `models/`, or a Hub id; `created` is None for what was downloaded."""

    name: str
    path: str
    size_bytes: int
    created: datetime | None = None
    run: Run | None = None


@dataclass(frozen=True)
class Catalogue:
    """Every model, in the four groups that the page shows, the newest first but for the base models."""

    base: list[Model]
    cpt: list[Model]
    ift: list[Model]
    published: list[Model]


def catalogue(parts: Parts) -> Catalogue:
    """What there is now. Folders that cannot be used are left out."""
    trained = [run for run in reversed(list_runs(parts.workspace)) if run.kind.trains]
    return Catalogue(
        base=_base(parts),
        cpt=[m for run in trained if run.kind is RunKind.CPT for m in _trained(parts, run)],
        ift=[m for run in trained if run.kind is RunKind.IFT for m in _trained(parts, run)],
        published=_published(parts),
    )


def newest_published(parts: Parts) -> str:
    """The path of the model that was published last. Raises ModelNotFound."""
    published = _published(parts)
    if not published:
        raise ModelNotFound(
            "no model has been published yet",
            details={"workspace": str(parts.workspace.root)},
            suggestion="`forgellm publish` makes one of a checkpoint; or name a model, models/base/NAME.",
        )
    return f"models/{published[0].path}"


def _base(parts: Parts) -> list[Model]:
    found = list_base_models(parts.workspace, parts.hub_cache)
    return [Model(model.name, model.name, folder_size(model.path)) for model in found]


def _trained(parts: Parts, run: Run) -> Iterator[Model]:
    """The run as a model, once it has weights."""
    folder = run_folder(parts.workspace, run)
    if (folder / _ADAPTER).is_file():
        yield Model(folder.name, f"{run.kind.value}/{folder.name}", folder_size(folder), run.created, run)


def _published(parts: Parts) -> list[Model]:
    found = map(_publication, visible_folders(parts.workspace, parts.workspace.published))
    return sorted((m for m in found if m is not None), key=lambda model: str(model.created), reverse=True)


def _publication(folder: Path) -> Model | None:
    """None where there is no configuration, or none that can be seen."""
    try:
        status = (folder / "config.json").stat()
    except OSError:
        return None
    changed = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    return Model(folder.name, f"published/{folder.name}", folder_size(folder), changed)


def folder_size(folder: Path) -> int:
    """Bytes of all files below, hard links once; a Hub snapshot's links are followed to what they mean."""
    seen: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(path, name))
            except OSError:
                # A worker deletes checkpoints and replaces states while this looks.
                continue
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
