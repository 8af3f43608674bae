"""An export run: a model, or an adapter, in the form that other programs read, below models/exports/.

It is built under a hidden name and renamed last. What cannot be exported is refused before the run starts,
in `services.exporting`; how each format is written is in `forgellm.exporting`.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from forgellm.data.chat import chat_format
from forgellm.data.endings import unnamed_end
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidModel
from forgellm.domain.exports import GGUF_TYPES, ExportFormat
from forgellm.exporting.gguf_file import GgufFile
from forgellm.exporting.modelfile import modelfile
from forgellm.exporting.peft import write_peft
from forgellm.jobs.building import building_of, remove_leftovers
from forgellm.jobs.job import Job, Outcome
from forgellm.storage.adapters import read_config
from forgellm.storage.checkpoints import checkpoint_path, find_checkpoint
from forgellm.storage.files import remove_folder, write_bytes
from forgellm.storage.model_files import read_whole, whole_files
from forgellm.storage.models import ModelFolder, find_model, fingerprint, is_tied
from forgellm.storage.runs import find_run, run_folder
from forgellm.training.adapters import read_weights

# A model that talks without a template of its own is given the text as it is.
_PLAIN_MODELFILE = 'FROM ./{weights}\nTEMPLATE """{{{{ .Prompt }}}}"""\n'


def export(job: Job) -> Outcome:
    """Export `spec["model_name"]`, or checkpoint `spec["iteration"]` of `spec["run"]`, as `spec["format"]`.

    Raises InvalidModel where the model is no longer the one that was asked for, ModelNotFound where it goes
    meanwhile, UnsupportedExport,
    CheckpointNotFound, InvalidAdapter, DiskFull.
    """
    target = job.workspace.exports / str(job.run.spec["name"])
    remove_leftovers(job, job.workspace.exports)
    with building_of(job, target) as building:
        for done in _write(job, building):
            job.log.append("exported", iteration=done)
            if job.control() != "run":
                job.log.append("stopping")
                remove_folder(building)
                return Outcome("stopped", {"name": target.name})
        written = sorted(path for path in building.iterdir() if not path.name.startswith("."))
        files = [path.name for path in written]
        size = sum(path.stat().st_size for path in written)
    place = job.workspace.relative(target)
    return Outcome("completed", {"export_path": place, "files": files, "size_bytes": size})


def _write(job: Job, building: Path) -> Iterator[int]:
    """Writes a piece after the other, and answers how many there are by then."""
    kind = ExportFormat(str(job.run.spec["format"]))
    if kind is ExportFormat.PEFT:
        yield from _write_adapter(job, building)
        return
    model = find_model(job.workspace, job.hub_cache, str(job.run.spec["model_name"]))
    if fingerprint(model.path) != job.run.base_fingerprint:
        raise InvalidModel(
            f"the model {model.name} is not the one that was asked for any more",
            details={"model": model.name},
            suggestion="Export it again.",
        )
    write = {ExportFormat.SAFETENSORS: _copy_files, ExportFormat.ZIP: _write_archive}.get(kind, _write_gguf)
    with read_whole(model):
        if kind is ExportFormat.OLLAMA:
            # What may be refused comes before what takes long.
            _write_modelfile(building, model, weights=_gguf_name(job))
        yield from write(job, building, model)


def _gguf_name(job: Job) -> str:
    return f"{job.run.spec['name']}.gguf"


def _write_gguf(job: Job, building: Path, model: ModelFolder) -> Iterator[int]:
    name = _gguf_name(job)
    file = GgufFile(model, GGUF_TYPES[str(job.run.spec["gguf_type"])], str(job.run.spec["name"]))
    job.log.append("phase", phase=f"writing {name}", total_iterations=file.tensors)
    yield from file.write(building / name)


def _write_modelfile(building: Path, model: ModelFolder, *, weights: str) -> None:
    tokenizer = load_tokenizer(model.path)
    text = _PLAIN_MODELFILE.format(weights=weights)
    if tokenizer.chat_template:
        begins = tokenizer.bos_token if tokenizer("").input_ids[:1] == [tokenizer.bos_token_id] else None
        ends = (tokenizer.eos_token_id, unnamed_end(tokenizer, {tokenizer.eos_token_id}))
        stops = [tokenizer.convert_ids_to_tokens(end) for end in ends if end is not None]
        text = modelfile(weights, chat_format(tokenizer), stops=stops, begin=begins or "")
    write_bytes(building / "Modelfile", text.encode())


def _copy_files(job: Job, building: Path, model: ModelFolder) -> Iterator[int]:
    for done, path in enumerate(_files(job, model), start=1):
        shutil.copyfile(path, building / path.name)
        yield done


def _write_archive(job: Job, building: Path, model: ModelFolder) -> Iterator[int]:
    name = str(job.run.spec["name"])
    with zipfile.ZipFile(building / f"{name}.zip", "w") as archive:
        for done, path in enumerate(_files(job, model), start=1):
            # Weights are noise to a compressor.
            stored = path.suffix in (".safetensors", ".png")
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.write(path, f"{name}/{path.name}", compress_type=method)
            yield done


def _files(job: Job, model: ModelFolder) -> Sequence[Path]:
    files = whole_files(model.path)
    job.log.append("phase", phase="copying", total_iterations=len(files))
    return files


def _write_adapter(job: Job, building: Path) -> Iterator[int]:
    source = find_run(job.workspace, str(job.run.spec["run"]))
    folder = run_folder(job.workspace, source)
    checkpoint = find_checkpoint(folder, int(str(job.run.spec["iteration"])))
    job.log.append("phase", phase="writing the adapter", total_iterations=1)
    weights = read_weights(checkpoint_path(folder, checkpoint.iteration))
    tied = any("embed_tokens" in name for name in weights) and _has_tied(job, str(source.spec["model_name"]))
    write_peft(building, weights, read_config(folder), tied=tied)
    yield 1


def _has_tied(job: Job, base: str) -> bool:
    return is_tied(find_model(job.workspace, job.hub_cache, base))
