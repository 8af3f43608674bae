"""Quantizing a model: a run of its own, refused here where it cannot succeed."""

from __future__ import annotations

import shutil
from dataclasses import asdict

from forgellm.domain.errors import DiskFull, InvalidField, InvalidModel
from forgellm.domain.quantization import Quantization, possible_group_sizes, quantization
from forgellm.domain.runs import Run, RunKind
from forgellm.jobs import launcher
from forgellm.services.naming import check_name, free_name, names_alone
from forgellm.services.parts import Parts
from forgellm.services.space import check_writable
from forgellm.services.training import versions
from forgellm.storage.datasets import find_dataset
from forgellm.storage.model_files import check_complete
from forgellm.storage.models import ModelFolder, find_model, fingerprint, is_quantized
from forgellm.storage.runs import create_run
from forgellm.storage.weights import tensors, weight_files


def quantize(
    parts: Parts,
    model_name: str,
    *,
    bits: int | None = None,
    recipe: str | None = None,
    group_size: int | None = None,
    dataset: str | None = None,
    name: str | None = None,
) -> Run:
    """Launch a run that quantizes a model into models/published/: 4 bits in groups of 64 unless told else.

    `dataset` is measured on before and after; a model published here is measured on the validation set of its
    run without it. Raises InvalidField, ModelNotFound, InvalidModel, UntrustedModelCode, DatasetNotFound,
    RunConflict where the name is taken, DiskFull, ReadOnly.
    """
    wish = quantization(bits=bits, recipe=recipe, group_size=group_size)
    model = find_model(parts.workspace, parts.hub_cache, model_name)
    _check_model(model, wish)
    if dataset is not None:
        find_dataset(parts.workspace, dataset)
    published = parts.workspace.published
    check_writable(published)
    _check_room(parts, model)
    with names_alone(parts):
        if name is None:
            name = free_name(parts, published, f"{model.name.rpartition('/')[2]}-{wish.words}")
        else:
            check_name(parts, name, published, what="a published model")
        run = create_run(
            parts.workspace,
            RunKind.QUANTIZE,
            spec={"model_name": model_name, **asdict(wish), "dataset": dataset, "name": name},
            name=None,
            created=parts.clock(),
            versions=versions(),
            base_fingerprint=fingerprint(model.path),
        )
    launcher.launch_new(parts.workspace, run, environment=parts.environment)
    return run


def _check_model(model: ModelFolder, wish: Quantization) -> None:
    if is_quantized(model.config):
        raise InvalidModel(
            f"{model.name} is quantized already",
            details={"model": model.name},
            suggestion="Quantize the model that it was made from: twice loses more than once.",
        )
    check_complete(model.path)
    shapes = {n: t.shape for path in weight_files(model.path) for n, t in (tensors(path) or {}).items()}
    if wish.recipe is not None and not any("down_proj" in name for name in shapes):
        raise InvalidField(
            f"recipe {wish.recipe} is for models with layers called down_proj, and {model.name} has none",
            details={"field": "recipe", "model": model.name},
            suggestion="Give bits instead.",
        )
    possible = possible_group_sizes({shape[-1] for shape in shapes.values() if len(shape) > 1})
    if wish.group_size not in possible:
        raise InvalidField(
            f"no layer of {model.name} can be quantized in groups of {wish.group_size}",
            details={"field": "group_size", "model": model.name, "possible": list(possible)},
            suggestion=f"Choose group_size {possible[0]}: it divides the width of some of them."
            if possible
            else "None of the sizes divides the width of any of them.",
        )


def _check_room(parts: Parts, model: ModelFolder) -> None:
    # Eight bits with scales take more than half of sixteen, and never more than the weights do now.
    needed = sum(path.stat().st_size for path in weight_files(model.path))
    free = shutil.disk_usage(parts.workspace.published).free
    if free < needed:
        raise DiskFull(
            f"{free / 1e9:.2f} GB are free, and the quantized model may need {needed / 1e9:.2f} GB",
            details={"needed_bytes": needed, "free_bytes": free},
            suggestion="Free some space, or use a workspace on another disk.",
        )
