"""What is exported is whole or not there, and is the model or the adapter that was named."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from forgellm.domain.errors import InvalidField, ModelNotFound, RunConflict, UnsupportedExport
from forgellm.domain.runs import Run, RunKind
from forgellm.forge import Forge
from forgellm.jobs.export import export
from forgellm.jobs.job import utc_now
from forgellm.services import exporting, runs
from forgellm.storage.events import read_events
from forgellm.storage.models import fingerprint
from forgellm.storage.runs import create_run, list_runs, run_folder
from forgellm.storage.workspace import Workspace
from tests.exporting.models import LlamaCpp, greedy_here
from tests.jobs.conftest import PUBLISHED, job_of
from tests.services.conftest import wait_for


def exported(forge: Forge, run: Run) -> Path:
    """The folder that an export run made."""
    assert wait_for(forge, run)[-1] == "completed", runs.status(forge, run).failure
    end = runs.status(forge, run).progress.end or {}
    folder = forge.workspace.root / str(end["export_path"])
    assert sorted(path.name for path in folder.iterdir()) == end["files"]
    return folder


def test_a_published_model_says_the_same_in_llama_cpp(town: Forge) -> None:
    folder = exported(town, exporting.export_model(town, PUBLISHED, format="ollama"))
    there = LlamaCpp(folder / "town-f16-ollama.gguf")
    prompt = "In Fernhope the makers of"
    said = there.greedy(prompt, 32)
    assert said == greedy_here(town.workspace.root / PUBLISHED, prompt, 32)
    modelfile = (folder / "Modelfile").read_text()
    assert modelfile.startswith('FROM ./town-f16-ollama.gguf\nTEMPLATE """')


def test_the_files_of_a_model_are_exported_as_they_are(town: Forge) -> None:
    source = town.workspace.root / PUBLISHED
    outside = town.workspace.root / "secret.json"
    outside.write_text("{}")
    (source / "linked.json").symlink_to(outside)
    folder = exported(town, exporting.export_model(town, PUBLISHED, format="safetensors", name="whole"))
    names = {path.name for path in source.iterdir()} - {"linked.json", "published.json"}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (source / name).read_bytes() for name in names
    }
    packed = exported(town, exporting.export_model(town, PUBLISHED, format="zip")) / "town-zip.zip"
    with zipfile.ZipFile(packed) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"town-zip/{name}": (source / name).read_bytes() for name in names
        }


def test_an_adapter_for_peft_adds_what_was_published(town: Forge) -> None:
    source = next(run for run in list_runs(town.workspace) if run.kind.trains)
    folder = exported(town, exporting.export_adapter(town, source))
    config = json.loads((folder / "adapter_config.json").read_text())
    adapter = as_arrays(folder / "adapter_model.safetensors")
    base = as_arrays(town.workspace.base_models / "tiny" / "model.safetensors")
    published = as_arrays(town.workspace.root / PUBLISHED / "model.safetensors")
    assert (config["peft_type"], config["use_dora"], config["layers_to_transform"]) == ("LORA", True, [0, 1])
    assert set(config["modules_to_save"]) >= {"norm", "input_layernorm", "embed_tokens", "lm_head"}
    # There it would be the base's own: PEFT copies what is saved, and leaves what was tied to it behind.
    output = adapter.pop("base_model.model.lm_head.weight")
    assert np.array_equal(output, published["model.embed_tokens.weight"])
    changed = 0
    for name, whole in published.items():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{place}.lora_A.weight" in adapter:
            # PEFT's own formula: rows of W + (alpha / r) B A, each at its learned length.
            low, high = adapter.pop(f"{place}.lora_A.weight"), adapter.pop(f"{place}.lora_B.weight")
            assert name.split(".")[-2] in config["target_modules"]
            assert low.shape[0] == high.shape[1] == config["r"]
            sum_ = base[name] + config["lora_alpha"] / config["r"] * (high @ low)
            length = np.linalg.norm(sum_, axis=1, keepdims=True)
            expected = adapter.pop(f"{place}.lora_magnitude_vector")[:, None] * sum_ / length
        else:
            expected = adapter.pop(f"base_model.model.{name}", base[name])
        changed += not np.array_equal(expected, base[name])
        assert np.abs(whole - expected).max() < 1e-6, name
    assert changed > 10
    assert adapter == {}


def as_arrays(path: Path) -> dict[str, np.ndarray]:
    loaded = mx.load(str(path))
    assert isinstance(loaded, dict)
    return {name: np.array(value.astype(mx.float32)) for name, value in loaded.items()}


def test_what_cannot_be_exported_starts_no_run(town: Forge) -> None:
    before = len(list_runs(town.workspace))
    strange = town.workspace.base_models / "strange"
    shutil.copytree(town.workspace.base_models / "tiny", strange)
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**config, "model_type": "gpt_neox"}))
    with pytest.raises(UnsupportedExport, match="architecture gpt_neox is not one of llama"):
        exporting.export_model(town, "models/base/strange", format="gguf")
    with pytest.raises(InvalidField, match=r"gguf_type 'q4_k' is not one of") as caught:
        exporting.export_model(town, PUBLISHED, format="gguf", gguf_type="q4_k")
    assert "q4_1" in caught.value.suggestion
    with pytest.raises(InvalidField, match="gguf_type is for gguf and ollama"):
        exporting.export_model(town, PUBLISHED, format="zip", gguf_type="q8_0")
    (town.workspace.exports / "taken").mkdir(parents=True)
    with pytest.raises(RunConflict, match="models/exports/taken exists already"):
        exporting.export_model(town, PUBLISHED, format="gguf", name="taken")
    assert len(list_runs(town.workspace)) == before


def an_export_run(workspace: Workspace, name: str, *, base_fingerprint: str | None = None) -> Run:
    folder = workspace.root / PUBLISHED
    return create_run(
        workspace,
        RunKind.EXPORT,
        spec={"model_name": PUBLISHED, "format": "gguf", "gguf_type": "f16", "name": name},
        name=None,
        created=utc_now(),
        versions={},
        base_fingerprint=base_fingerprint or fingerprint(folder),
    )


@pytest.mark.parametrize(
    ("limit", "sealed", "code"),
    [(120_000, None, "DISK_FULL"), (resource.RLIM_INFINITY, "another model", "INVALID_MODEL")],
)
def test_an_export_that_fails_leaves_nothing(
    town: Forge, worker_environment: dict[str, str], limit: int, sealed: str | None, code: str
) -> None:
    run = an_export_run(town.workspace, f"broken-{code}", base_fingerprint=sealed)
    leftover = town.workspace.exports / ".building-export_20200101_000000"
    leftover.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "forgellm.jobs.worker", str(run_folder(town.workspace, run))],
        cwd=town.workspace.root,
        env=worker_environment,
        capture_output=True,
        timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert read_events(run_folder(town.workspace, run))[-1]["code"] == code
    assert list(town.workspace.exports.glob(f"broken-{code}")) == []
    assert list(town.workspace.exports.glob(".building*")) == []


def test_a_model_that_goes_while_it_is_copied_is_named(town: Forge) -> None:
    going = town.workspace.base_models / "going"
    shutil.copytree(town.workspace.base_models / "tiny", going)
    spec = {"model_name": "models/base/going", "format": "zip", "name": "gone"}

    def control() -> str:
        shutil.rmtree(going, ignore_errors=True)
        return "run"

    job = job_of(town, RunKind.EXPORT, spec, control=control)
    with pytest.raises(ModelNotFound, match="going has gone, or lost files, while it was read"):
        export(job)
    job.log.append("failed")
    assert [path.name for path in town.workspace.exports.glob("*gone*")] == []
    assert list(town.workspace.exports.glob(".building*")) == []
