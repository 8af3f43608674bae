"""A quantize run: a copy of a model in fewer bits, measured before and after where there is data.

The copy is built under a hidden name and renamed last, into models/published/, where chats and runs find it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.nn as nn
from huggingface_hub import ModelCardData
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.utils import compute_bits_per_weight, get_total_parameters, quantize_model, save_model

from forgellm.domain.errors import InvalidModel
from forgellm.domain.quantization import Quantization, quantization, shortfall
from forgellm.jobs.building import building_of, remove_leftovers
from forgellm.jobs.held_out import CalledOff, HeldOut, held_out, measured
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.model_card import inherited
from forgellm.storage.files import read_json, write_bytes, write_json
from forgellm.storage.model_files import described_files, read_whole
from forgellm.storage.models import ModelFolder, find_model, fingerprint
from forgellm.storage.weights import weight_files
from forgellm.training.adapters import load_base

# What published.json tells of the weights before they were quantized.
_ORIGIN = ("run", "iteration", "checkpoint_sha256", "base_model", "base_fingerprint", "spec")


@dataclass(frozen=True)
class Measured:
    """Losses in nats per token over so many targets, or why there are none."""

    validation_loss_before: float | None = None
    validation_loss_after: float | None = None
    validation_tokens: int | None = None
    validation_data: str = "not measured: no dataset was named, and the model tells of no run"


@dataclass(frozen=True)
class Reached:
    """Bytes of all weights before and after, the bits that a weight takes on average with its scales, and
    which share of the weights is in fewer bits at all. `warning` says why so few are, None where most are.
    """

    size_bytes_before: int
    size_bytes: int
    bits_per_weight: float
    quantized_share: float
    warning: str | None


def quantize(job: Job) -> Outcome:
    """Quantize `spec["model_name"]` as `spec` says, into models/published/.

    Raises InvalidModel where the model is no longer the one that was asked for or none of its layers can be
    quantized, InvalidDataset, DiskFull.
    """
    target = job.workspace.published / str(job.run.spec["name"])
    remove_leftovers(job, target.parent)
    try:
        with building_of(job, target) as building:
            values = _build(job, building)
    except CalledOff:
        job.log.append("stopping")
        return Outcome("stopped", {"name": target.name})
    place = job.workspace.relative(target)
    named = {"published_model_path": place, "model_name": f"published/{target.name}"}
    return Outcome("completed", {**named, "readme_path": f"{place}/README.md", **values})


def _build(job: Job, building: Path) -> dict[str, object]:
    """Quantize, measure and describe; the values that say what came of it."""
    spec: Mapping[str, Any] = job.run.spec
    wish = quantization(bits=spec["bits"], recipe=spec["recipe"], group_size=spec["group_size"])
    source = _source(job)
    data = held_out(job, source, spec.get("dataset"))
    _phase(job, "loading model")
    model, config = load_base(source.path)
    before = _loss(job, model, data, "measuring the model as it is")
    _go_on(job)
    _phase(job, "quantizing")
    reached = _write_quantized(building, model, config, wish=wish, source=source)
    del model
    _go_on(job)
    losses = _measured(job, building, data, before)
    values = {**asdict(wish), **asdict(reached), **asdict(losses)}
    _describe(job, building, source, values=values, losses=_losses(losses))
    return values


def _source(job: Job) -> ModelFolder:
    source = find_model(job.workspace, job.hub_cache, str(job.run.spec["model_name"]))
    if fingerprint(source.path) != job.run.base_fingerprint:
        raise InvalidModel(
            f"the model {source.name} is not the one that was asked for any more",
            details={"model": source.name},
            suggestion="Quantize it again.",
        )
    return source


def _go_on(job: Job) -> None:
    """Raises CalledOff once the run is to stop."""
    if job.control() != "run":
        raise CalledOff


def _phase(job: Job, name: str) -> None:
    job.log.append("phase", phase=name)


def _write_quantized(
    building: Path, model: nn.Module, config: dict[str, Any], *, wish: Quantization, source: ModelFolder
) -> Reached:
    """Quantize `model` in place and write it."""
    recipe = mixed_quant_predicate_builder(wish.recipe, model, wish.group_size) if wish.recipe else None
    model, config = quantize_model(model, config, wish.group_size, wish.bits, quant_predicate=recipe)
    if not any(hasattr(module, "bits") for _, module in model.named_modules()):
        raise InvalidModel(
            f"no layer of {source.name} can be quantized in groups of {wish.group_size}",
            details={"model": source.name, "group_size": wish.group_size},
            suggestion="Choose a smaller group_size: it has to divide the width of the layers.",
        )
    bits, share = float(compute_bits_per_weight(model)), _quantized_share(model)
    save_model(building, model)
    with read_whole(source):
        for path in described_files(source.path):
            shutil.copyfile(path, building / path.name)
    kept = {
        **source.config,
        "quantization": config["quantization"],
        "quantization_config": config["quantization"],
    }
    kept.pop("_name_or_path", None)
    write_json(building / "config.json", kept)
    return Reached(_bytes(source.path), _bytes(building), bits, share, shortfall(share, wish.group_size))


def _quantized_share(model: nn.Module) -> float:
    found = (m for _, m in model.named_modules() if hasattr(m, "bits"))
    return float(sum(m.weight.size * 32 // m.bits for m in found) / get_total_parameters(model))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in weight_files(folder))


def _measured(job: Job, building: Path, data: HeldOut | None, before: float | None) -> Measured:
    if data is None:
        return Measured()
    # Loaded back from the disk: that is what will be used.
    model, _ = load_base(building)
    after = _loss(job, model, data, "measuring the quantized model")
    return Measured(before, after, int(data.sequences.learned.sum()), data.origin)


def _loss(job: Job, model: nn.Module, data: HeldOut | None, phase: str) -> float | None:
    if data is None:
        return None
    return measured(job, model, data, phase=phase).loss


def _describe(
    job: Job, building: Path, source: ModelFolder, *, values: Mapping[str, object], losses: str
) -> None:
    """The card, and where the weights come from, with what was done to them. What was measured of the source
    was not measured of this.
    """
    name = str(job.run.spec["name"])
    path = source.path / "published.json"
    facts = read_json(path) if path.is_file() else {}
    known = {key: facts[key] for key in _ORIGIN if key in facts} if isinstance(facts, dict) else {}
    made = {"name": name, "quantized_from": source.name, "quantized_by": job.run.id, **values}
    made |= {"created": job.clock().isoformat(), "versions": dict(job.run.versions)}
    write_json(building / "published.json", {**known, **made})
    on_hub = job.workspace.models.resolve() not in source.path.resolve().parents
    card = _card(source, name, values=values, losses=losses, on_hub=on_hub)
    write_bytes(building / "README.md", card.encode())


def _card(source: ModelFolder, name: str, *, values: Mapping[str, object], losses: str, on_hub: bool) -> str:
    data = ModelCardData(
        **inherited(source.path),
        library_name="mlx",
        pipeline_tag="text-generation",
        tags=["mlx", "forgellm", "text-generation"],
        model_name=name,
    )
    if on_hub:
        data.base_model = source.name
        data["base_model_relation"] = "quantized"
    how = values["recipe"] or f"{values['bits']} bits"
    lines = [
        f"# {name}",
        f"`{source.name}` quantized with mlx-lm: {how} in groups of {values['group_size']}, "
        f"{values['bits_per_weight']:.2f} bits a weight with the scales.",
        _noted(values["warning"]),
        losses,
    ]
    body = "\n\n".join(filter(None, lines))
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _noted(warning: object) -> str:
    return f"Note: {warning}." if warning else ""


def _losses(measured: Measured) -> str:
    before, after = measured.validation_loss_before, measured.validation_loss_after
    if before is None or after is None:
        return f"Validation loss: {measured.validation_data}."
    return (
        f"Validation loss before {before:.4f}, after {after:.4f} nats per token "
        f"({measured.validation_tokens:,} tokens, {measured.validation_data})."
    )
