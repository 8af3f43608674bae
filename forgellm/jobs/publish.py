"""A publish run: one checkpoint fused into a model of its own, described, and measured again.

The model is built in a hidden folder and renamed into place last, so that what is listed is whole. Weights
are those of the chosen checkpoint's file, whose hash is checked; a quantized base is dequantized, because
quantizing the sum again would lose part of what was learned (mlx-lm issue 1172).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.utils import load_config, save_model

from forgellm.data.chat import PLAIN_TEMPLATE
from forgellm.data.corpus import load_corpus
from forgellm.data.endings import unnamed_end
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import DiskFull, InvalidModel
from forgellm.domain.run_specs import spec_of
from forgellm.domain.runs import Run, RunKind
from forgellm.jobs.building import building_of, remove_leftovers
from forgellm.jobs.dashboard import write_dashboard
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.model_card import Measured, model_card
from forgellm.jobs.report import Report
from forgellm.storage.adapters import read_config
from forgellm.storage.checkpoints import checkpoint_path, find_checkpoint, read_checkpoints
from forgellm.storage.events import read_events
from forgellm.storage.files import parse_record, remove_folder, write_bytes, write_json
from forgellm.storage.liveness import state
from forgellm.storage.model_files import described_files
from forgellm.storage.models import ModelFolder, find_model, fingerprint, has_chat_template
from forgellm.storage.runs import find_run, run_folder
from forgellm.training.adapters import fuse, load_adapter, load_base
from forgellm.training.losses import measure
from forgellm.training.objective_of import objective_of

_NOT_IN_CONFIG = {"quantization", "quantization_config", "_name_or_path"}
_MARGIN_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Wish:
    """What is published, and as what."""

    source: Run
    folder: Path
    checkpoint: Checkpoint
    base: ModelFolder
    name: str


def publish(job: Job) -> Outcome:
    """Publish `spec["iteration"]` of `spec["run"]`; the published model's own validation loss is measured.

    Raises CheckpointNotFound, InvalidAdapter, InvalidModel where the base is no longer the one that was
    trained on, DiskFull.
    """
    wish = _wish(job)
    remove_leftovers(job, job.workspace.published)
    with building_of(job, job.workspace.published / wish.name) as building:
        _phase(job, "fusing")
        _write_model(building, wish)
        _phase(job, "measuring the published model")
        measured = _measure(building, wish)
        _phase(job, "writing card and dashboard")
        _describe(job, building, wish, measured=measured)
        if job.control() != "run":
            job.log.append("stopping")
            remove_folder(building)
            return Outcome("stopped", {"name": wish.name})
    return Outcome("completed", _values(job, wish, measured))


def _wish(job: Job) -> Wish:
    spec = job.run.spec
    source = find_run(job.workspace, str(spec["run"]))
    folder = run_folder(job.workspace, source)
    checkpoint = find_checkpoint(folder, int(str(spec["iteration"])))
    base = find_model(job.workspace, job.hub_cache, spec_of(source).model_name)
    if source.base_fingerprint not in (None, fingerprint(base.path)):
        raise InvalidModel(
            f"the base model {base.name} is not the one that {source.id} was trained on",
            details={"model": base.name, "run": source.id},
            suggestion="Put the original base model back: the checkpoint fits no other.",
        )
    return Wish(source, folder, checkpoint, base, str(spec["name"]))


def _phase(job: Job, name: str) -> None:
    job.log.append("phase", phase=name)


def _write_model(building: Path, wish: Wish) -> None:
    """Fuse the checkpoint into a fresh base and write weights, configuration and tokenizer."""
    model, _ = load_base(wish.base.path)
    load_adapter(model, checkpoint_path(wish.folder, wish.checkpoint.iteration), read_config(wish.folder))
    fuse(model)
    check_dequantized(model, wish.base.name)
    _check_room(building, model)
    save_model(building, model)
    for path in described_files(wish.base.path):
        shutil.copyfile(path, building / path.name)
    write_json(building / "config.json", _published_config(wish.base.config))
    if wish.source.kind is RunKind.IFT:
        if not has_chat_template(building):
            # The run was trained with it, so whoever generates needs it.
            write_bytes(building / "chat_template.jinja", PLAIN_TEMPLATE.encode())
        _name_end(building)


def _name_end(building: Path) -> None:
    """Tell every program that generates with which token the model was taught to end its answers."""
    path = building / "generation_config.json"
    settings = (parse_record(path.read_bytes()) if path.is_file() else None) or {}
    known = load_config(building).get("eos_token_id")
    ends = known if isinstance(known, list) else [] if known is None else [known]
    taught = unnamed_end(load_tokenizer(building), ends)
    if taught is not None:
        write_json(path, {**settings, "eos_token_id": [*ends, taught]})


def _published_config(config: Mapping[str, object]) -> dict[str, object]:
    """`config` for weights that are whole; the path its author loaded it from is nobody's business."""
    kept = {key: value for key, value in config.items() if key not in _NOT_IN_CONFIG}
    inner = kept.get("text_config")
    return kept | {"text_config": _published_config(inner)} if isinstance(inner, dict) else kept


def check_dequantized(model: nn.Module, base: str) -> None:
    """Raises InvalidModel where layers of `base` are still quantized: mlx-lm cannot turn every kind back."""
    left = [
        name
        for name, value in _parameters(model).items()
        if name.endswith(".weight") and not mx.issubdtype(value.dtype, mx.floating)
    ]
    if left:
        raise InvalidModel(
            f"the quantized base model {base} cannot be dequantized: {left[0]}",
            details={"model": base, "weights": left[:20]},
            suggestion="Train on a version of the base model that is not quantized.",
        )


def _parameters(model: nn.Module) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def _check_room(folder: Path, model: nn.Module) -> None:
    needed = sum(value.nbytes for value in _parameters(model).values()) + _MARGIN_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"the published model needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free",
            details={"needed_bytes": needed, "free_bytes": free},
            suggestion="Free some space, then publish again.",
        )


def _measure(building: Path, wish: Wish) -> Measured:
    """The published model, loaded back from the disk, on the validation sets of its run."""
    corpus = load_corpus(wish.folder / "corpus")
    model, _ = load_base(building)
    domain = objective_of(spec_of(wish.source), corpus, wish.folder).measure(model)
    general = measure(model, corpus.general_valid) if corpus.general_valid else None
    if general is None:
        return Measured(domain.loss, domain.tokens)
    return Measured(domain.loss, domain.tokens, general.loss, general.tokens)


def _describe(job: Job, building: Path, wish: Wish, *, measured: Measured) -> None:
    report = Report(
        wish.source, state(wish.folder), read_events(wish.folder), read_checkpoints(wish.folder, verify=False)
    )
    in_workspace = job.workspace.models.resolve() in wish.base.path.parents
    card = model_card(
        report,
        checkpoint=wish.checkpoint,
        measured=measured,
        name=wish.name,
        base_folder=wish.base.path,
        hub_id=None if in_workspace else wish.base.name,
    )
    write_bytes(building / "README.md", card.encode())
    write_dashboard(building / "training_dashboard.png", report)
    write_json(
        building / "published.json",
        {
            "name": wish.name,
            "run": wish.source.id,
            "iteration": wish.checkpoint.iteration,
            "checkpoint_sha256": wish.checkpoint.sha256,
            "checkpoint_validation_loss": wish.checkpoint.validation_loss,
            "published_validation_loss": measured.validation_loss,
            "general_validation_loss": measured.general_validation_loss,
            "validation_tokens": measured.validation_tokens,
            "base_model": wish.base.name,
            "base_fingerprint": wish.source.base_fingerprint,
            "created": job.clock().isoformat(),
            "versions": dict(job.run.versions),
            "spec": dict(wish.source.spec),
        },
    )


def _values(job: Job, wish: Wish, measured: Measured) -> dict[str, object]:
    place = job.workspace.relative(job.workspace.published / wish.name)
    return {
        "published_model_path": place,
        "model_name": f"published/{wish.name}",
        "dashboard_path": f"{place}/training_dashboard.png",
        "readme_path": f"{place}/README.md",
        "iteration": wish.checkpoint.iteration,
        "checkpoint_validation_loss": wish.checkpoint.validation_loss,
        "published_validation_loss": measured.validation_loss,
        "checkpoint_general_validation_loss": wish.checkpoint.general_validation_loss,
        "published_general_validation_loss": measured.general_validation_loss,
    }
