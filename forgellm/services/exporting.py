"""Exporting a model or an adapter: a run of its own, refused here where it cannot succeed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from forgellm.domain.errors import DiskFull, InvalidField, UnsupportedExport, nearest
from forgellm.domain.exports import DEFAULT_GGUF_TYPE, GGUF_TYPES, ExportFormat, GgufType
from forgellm.domain.runs import Run, RunKind
from forgellm.exporting.architectures import architecture, unsupported
from forgellm.exporting.vocabulary import check_tokenizer
from forgellm.jobs import launcher
from forgellm.services.model_info import describe_model
from forgellm.services.naming import check_name, free_name, names_alone
from forgellm.services.parts import Parts
from forgellm.services.publishing import chosen_checkpoint
from forgellm.services.space import check_writable
from forgellm.services.training import versions
from forgellm.storage.adapters import read_config
from forgellm.storage.model_files import check_complete, whole_files
from forgellm.storage.models import ModelFolder, find_model, fingerprint
from forgellm.storage.runs import create_run, run_folder

# The vocabulary, the configuration and what a file system takes for itself.
_MARGIN_BYTES = 64 * 2**20


def export_model(
    parts: Parts, model_name: str, *, format: str, gguf_type: str | None = None, name: str | None = None
) -> Run:
    """Launch a run that exports a model below models/exports/; `gguf_type` is that of the GGUF's numbers.

    Raises ModelNotFound, InvalidModel, UntrustedModelCode, InvalidField, UnsupportedExport, RunConflict
    where the name is taken, DiskFull, ReadOnly.
    """
    model, kind, numbers = check_form(parts, model_name, format=format, gguf_type=gguf_type)
    ending = "-".join(
        [*([numbers.name] if numbers else []), *([] if kind is ExportFormat.GGUF else [kind.value])]
    )
    _check_room(parts, _needed_bytes(model, numbers))
    spec: dict[str, object] = {"model_name": model_name, "format": kind.value}
    if numbers is not None:
        spec["gguf_type"] = numbers.name
    default = f"{model.name.rpartition('/')[2]}-{ending}"
    return _launch(parts, spec, name=name, default=default, base_fingerprint=fingerprint(model.path))


def check_form(
    parts: Parts, model_name: str, *, format: str, gguf_type: str | None
) -> tuple[ModelFolder, ExportFormat, GgufType | None]:
    """The model with the format and its numbers. Raises what `export_model` raises, but for name and room."""
    kind = _format(format)
    if kind is ExportFormat.PEFT:
        raise InvalidField(
            "peft is the format of an adapter, and a model was named",
            details={"field": "format"},
            suggestion="Name a training run, or choose safetensors.",
        )
    numbers = _gguf_type(kind, gguf_type)
    model = find_model(parts.workspace, parts.hub_cache, model_name)
    check_complete(model.path)
    if kind.holds_gguf:
        architecture(model)
        check_tokenizer(model)
    return model, kind, numbers


def export_adapter(
    parts: Parts, source: Run, *, iteration: int | None = None, name: str | None = None
) -> Run:
    """Launch a run that exports a checkpoint of `source` for PEFT: the best one unless `iteration` is given.

    Raises RunConflict where it trains nothing or the name is taken, CheckpointNotFound, InvalidAdapter,
    UnsupportedExport, InvalidField, DiskFull, ReadOnly.
    """
    checkpoint = chosen_checkpoint(parts, source, iteration)
    _check_low_rank(run_folder(parts.workspace, source), source)
    _check_room(parts, checkpoint.size_bytes)
    spec = {"run": source.id, "iteration": checkpoint.iteration, "format": "peft"}
    default = f"{source.id}_{checkpoint.iteration:07d}-peft"
    return _launch(parts, spec, name=name, default=default, base_fingerprint=source.base_fingerprint)


def _launch(
    parts: Parts,
    spec: Mapping[str, object],
    *,
    name: str | None,
    default: str,
    base_fingerprint: str | None,
) -> Run:
    with names_alone(parts):
        run = create_run(
            parts.workspace,
            RunKind.EXPORT,
            spec={**spec, "name": _name(parts, name, default=default)},
            name=None,
            created=parts.clock(),
            versions=versions(),
            base_fingerprint=base_fingerprint,
        )
    launcher.launch_new(parts.workspace, run, environment=parts.environment)
    return run


def _format(text: str) -> ExportFormat:
    try:
        return ExportFormat(text)
    except ValueError:
        raise _unknown("format", text, [known.value for known in ExportFormat]) from None


def _gguf_type(kind: ExportFormat, text: str | None) -> GgufType | None:
    if not kind.holds_gguf:
        if text is not None:
            raise InvalidField(
                f"gguf_type is for gguf and ollama, and the format is {kind.value}",
                details={"field": "gguf_type"},
                suggestion="Leave it out, or choose another format.",
            )
        return None
    found = GGUF_TYPES.get(text or DEFAULT_GGUF_TYPE)
    if found is None:
        raise _unknown("gguf_type", str(text), list(GGUF_TYPES))
    return found


def _unknown(field: str, value: str, known: list[str]) -> InvalidField:
    near = nearest(value, known)
    return InvalidField(
        f"{field} {value!r:.100} is not one of {', '.join(known)}",
        details={"field": field, "known": known},
        suggestion=f"Did you mean {near}?" if near else "Choose one of these.",
    )


def _name(parts: Parts, name: str | None, *, default: str) -> str:
    if name is None:
        return free_name(parts, parts.workspace.exports, default)
    check_name(parts, name, parts.workspace.exports, what="an export")
    return name


def _check_low_rank(folder: Path, source: Run) -> None:
    if read_config(folder).fine_tune_type == "full":
        raise UnsupportedExport(
            f"run {source.id} cannot be exported as an adapter: it trained whole weights",
            details={"run": source.id, "fine_tune_type": "full"},
            suggestion="Publish it, and export the published model.",
        )


def _needed_bytes(model: ModelFolder, numbers: GgufType | None) -> int:
    if numbers is None:
        return sum(path.stat().st_size for path in whole_files(model.path))
    info = describe_model(model)
    if info.parameters is None:
        raise unsupported(model.name, str(info.parameters_problem))
    return info.parameters * numbers.block_bytes // numbers.block_values


def _check_room(parts: Parts, needed: int) -> None:
    check_writable(parts.workspace.exports)
    free = shutil.disk_usage(parts.workspace.exports).free
    if free < needed + _MARGIN_BYTES:
        raise DiskFull(
            f"the export needs {(needed + _MARGIN_BYTES) / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free",
            details={"needed_bytes": needed + _MARGIN_BYTES, "free_bytes": free},
            suggestion="Free some space, or choose a smaller type of numbers.",
        )
