"""What is published is exactly the chosen checkpoint, whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm import generate
from mlx_lm.models.mla import MultiLinear
from mlx_lm.utils import load, load_model

from forgellm.domain.errors import InvalidModel
from forgellm.domain.extent import folder_name
from forgellm.domain.runs import Event, Run, RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.job import utc_now
from forgellm.jobs.publish import check_dequantized
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import read_events
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace
from forgellm.training.adapters import load_base
from tests.conftest import make_workspace
from tests.storage.folders import adopt

Work = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def work(workspace: Workspace, worker_environment: dict[str, str]) -> Work:
    """Runs the worker of a run to its end."""

    def run(run: Run, **options: object) -> subprocess.CompletedProcess[str]:
        return worked(workspace, run, env=worker_environment, **options)

    return run


def worked(workspace: Workspace, run: Run, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forgellm.jobs.worker", str(run_folder(workspace, run))],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        timeout=200,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def trained_once(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    hub_cache: Path,
    worker_environment: dict[str, str],
) -> tuple[Workspace, Run]:
    """A training run of 32 iterations, in a workspace that is only copied from."""
    workspace = make_workspace(tmp_path_factory.mktemp("trained") / "workspace", tiny_model)
    run = a_training_run(workspace, hub_cache)
    assert worked(workspace, run, env=worker_environment).returncode == 0
    return workspace, run


@pytest.fixture
def trained(trained_once: tuple[Workspace, Run], workspace: Workspace) -> Run:
    """That run, as one of the test's own workspace."""
    elsewhere, run = trained_once
    return adopt(workspace, run, elsewhere=elsewhere)


def a_training_run(workspace: Workspace, hub_cache: Path, **values: object) -> Run:
    wish = {
        "model_name": "models/base/tiny",
        "training_type": "cpt",
        "dataset": "domain",
        "max_seq_length": 64,
        "batch_size": 4,
        "max_iterations": 32,
        "save_every": 10,
        "eval_every": 10,
        "learning_rate": 1e-2,
    }
    spec = parse_spec(wish | values)
    base = find_model(workspace, hub_cache, spec.model_name)
    return create_run(
        workspace,
        RunKind(spec.training_type),
        spec=to_dict(spec),
        name=folder_name(spec, max_seq_length=64, created=utc_now()),
        created=utc_now(),
        versions={"platform": "Linux"},
        base_fingerprint=fingerprint(base.path),
    )


def a_publish_run(workspace: Workspace, source: Run, iteration: int, name: str = "model") -> Run:
    return create_run(
        workspace,
        RunKind.PUBLISH,
        spec={"run": source.id, "iteration": iteration, "name": name},
        name=None,
        created=utc_now(),
        versions={},
        base_fingerprint=source.base_fingerprint,
    )


def last_event(workspace: Workspace, run: Run) -> Event:
    return read_events(run_folder(workspace, run))[-1]


def published(workspace: Workspace, work: Work, source: Run, *, iteration: int) -> tuple[Path, Event]:
    run = a_publish_run(workspace, source, iteration, f"at-{iteration}")
    done = work(run)
    end = last_event(workspace, run)
    assert end["type"] == "completed", (end, done.stderr)
    return workspace.published / f"at-{iteration}", end


def weights_of(folder: Path) -> Mapping[str, mx.array]:
    return mx.load(str(folder / "model.safetensors"))  # type: ignore[return-value]


def fused_by_hand(base: Path, adapter: Path, *, scale: float) -> dict[str, np.ndarray]:
    """W + scale * (A B)^T for every adapted matrix, computed with numpy from the files alone."""
    model, _ = load_model(base)
    plain = {name: module for name, module in model.named_modules() if hasattr(module, "weight")}
    factors = mx.load(str(adapter))
    fused = {}
    for key in factors:  # type: ignore[union-attr]
        if not key.endswith(".lora_a"):
            continue
        name = key.removesuffix(".lora_a")
        module = plain[name]
        weight = module.weight
        if hasattr(module, "scales"):
            weight = mx.dequantize(
                weight, module.scales, module.biases, module.group_size, module.bits, module.mode
            )
        a, b = (np.array(factors[f"{name}.lora_{x}"], np.float64) for x in "ab")  # type: ignore[index]
        fused[f"{name}.weight"] = np.array(weight.astype(mx.float32), np.float64) + scale * (a @ b).T
    return fused


def check_the_tenth_is_published(workspace: Workspace, work: Work, source: Run, *, rounding: float) -> None:
    folder = run_folder(workspace, source)
    tenth, end = published(workspace, work, source, iteration=10)
    base = workspace.base_models / "tiny"
    by_hand = fused_by_hand(base, folder / "0000010_adapters.safetensors", scale=2.0)
    others = fused_by_hand(base, folder / "0000032_adapters.safetensors", scale=2.0)
    assert by_hand
    weights = weights_of(tenth)
    for name, expected in by_hand.items():
        got = np.array(weights[name].astype(mx.float32), np.float64)
        tolerance = 2e-3 if weights[name].dtype != mx.float32 else 1e-6
        assert np.abs(got - expected).max() < tolerance < np.abs(got - others[name]).max(), name

    assert "quantization" not in (tenth / "config.json").read_text()

    losses = {c.iteration: c.validation_loss for c in read_checkpoints(folder)}
    assert end["checkpoint_validation_loss"] == losses[10]
    assert end["published_validation_loss"] == pytest.approx(losses[10], abs=rounding)
    assert losses[10] != losses[32]


def test_iteration_10_of_32_is_published_with_iteration_10s_weights(
    workspace: Workspace, work: Work, trained: Run
) -> None:
    check_the_tenth_is_published(workspace, work, trained, rounding=1e-5)


def test_iteration_10_of_32_is_published_from_a_base_of_4_bits(
    workspace: Workspace, hub_cache: Path, work: Work, tiny_model_quantized: Path
) -> None:
    shutil.rmtree(workspace.base_models / "tiny")
    shutil.copytree(tiny_model_quantized, workspace.base_models / "tiny")
    source = a_training_run(workspace, hub_cache)
    assert work(source).returncode == 0
    check_the_tenth_is_published(workspace, work, source, rounding=5e-3)


def test_a_published_model_stands_alone(workspace: Workspace, hub_cache: Path, work: Work) -> None:
    base = workspace.base_models / "tiny"
    for name in ("LICENSE", "weights.pkl", "pytorch_model.bin", "tool.py", "adapter_config.json"):
        (base / name).write_text("{}")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"_name_or_path": "/home/someone/model"}))
    tokenizer_files = {
        name: (base / name).read_bytes() for name in ("tokenizer.json", "tokenizer_config.json")
    }
    source = a_training_run(workspace, hub_cache, dataset="questions", training_type="ift", max_iterations=10)
    assert work(source).returncode == 0
    folder, _ = published(workspace, work, source, iteration=10)
    shutil.rmtree(base)
    assert {p.name for p in folder.iterdir()} == {
        *tokenizer_files,
        "LICENSE",
        "README.md",
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "published.json",
        "training_dashboard.png",
    }
    assert {name: (folder / name).read_bytes() for name in tokenizer_files} == tokenizer_files
    assert json.loads((folder / "config.json").read_text()) == config
    model, tokenizer = load(str(folder))  # type: ignore[misc]
    assert isinstance(generate(model, tokenizer, prompt="In Brinmoor", max_tokens=4), str)
    facts = json.loads((folder / "published.json").read_text())
    assert (facts["run"], facts["iteration"]) == (source.id, 10)
    assert (folder / "training_dashboard.png").read_bytes()[:4] == b"\x89PNG"
    card = (folder / "README.md").read_text()
    assert f"{facts['published_validation_loss']:.4f}" in card
    assert str(workspace.root) not in card
    assert find_model(workspace, hub_cache, "models/published/at-10").path == folder


def test_a_full_fine_tune_with_dora_or_whole_weights_is_published_too(
    workspace: Workspace, hub_cache: Path, work: Work
) -> None:
    for settings in (
        {"fine_tune_type": "full", "train_also": ["embeddings", "norms"]},
        {"fine_tune_type": "dora"},
        {"train_also": ["norms"]},
    ):
        source = a_training_run(workspace, hub_cache, max_iterations=10, **settings)
        assert work(source).returncode == 0
        run = a_publish_run(workspace, source, 10, f"n{source.number}")
        work(run)
        end = last_event(workspace, run)
        assert end["type"] == "completed", end
        assert end["published_validation_loss"] == pytest.approx(end["checkpoint_validation_loss"], abs=1e-5)
        model, _ = load_base(workspace.published / f"n{source.number}")
        assert not any("lora" in name for name, _ in tree_flatten(model.parameters()))  # type: ignore[misc]


def test_layers_that_cannot_be_dequantized_are_refused_by_name() -> None:
    model = nn.Module()
    model.embed_q = MultiLinear(64, 32, 2)
    check_dequantized(model, "base")
    model.embed_q = model.embed_q.to_quantized(group_size=32, bits=4)
    with pytest.raises(InvalidModel, match=r"base cannot be dequantized: embed_q\.weight"):
        check_dequantized(model, "base")


def test_a_damaged_checkpoint_is_refused_and_nothing_is_listed(
    workspace: Workspace, work: Work, trained: Run
) -> None:
    path = run_folder(workspace, trained) / "0000010_adapters.safetensors"
    data = bytearray(path.read_bytes())
    data[-4] ^= 0x40
    path.write_bytes(data)
    run = a_publish_run(workspace, trained, 10)
    work(run)
    assert last_event(workspace, run)["code"] == "INVALID_ADAPTER"
    assert list(workspace.published.glob("*")) == []


def test_a_full_disk_fails_by_name_and_leaves_nothing(workspace: Workspace, work: Work, trained: Run) -> None:
    run = a_publish_run(workspace, trained, 10)
    work(run, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)))
    assert last_event(workspace, run)["code"] == "DISK_FULL"
    assert list(workspace.published.glob("**/*")) == []


def test_a_killed_publish_is_not_listed_and_swept_up_by_the_next(
    workspace: Workspace, work: Work, trained: Run, worker_environment: dict[str, str]
) -> None:
    run = a_publish_run(workspace, trained, 10, "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "forgellm.jobs.worker", str(run_folder(workspace, run))],
        cwd=workspace.root,
        env=worker_environment,
    )
    tick = threading.Event()
    while not list(workspace.published.glob(".building-*")):
        assert process.poll() is None
        tick.wait(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (workspace.published / "killed").exists()
    published(workspace, work, trained, iteration=10)
    assert [p.name for p in workspace.published.iterdir()] == ["at-10"]
