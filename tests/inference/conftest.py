"""Engines over the tiny model, and adapters of every form for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from forgellm.domain.chat import Finish, GenerationRequest, Message, Sampling, Target
from forgellm.inference.engine import Engine
from forgellm.inference.options import EngineOptions
from forgellm.storage.adapters import AdapterConfig, write_config
from forgellm.storage.files import read_json
from forgellm.storage.models import fingerprint
from forgellm.storage.targets import Source
from forgellm.training.adapters import attach, load_base, save_weights, trainable_weights
from tests.conftest import settle

GREEDY = Sampling(max_tokens=12, temperature=0)
FORMS = {
    "lora": AdapterConfig("lora", -1, 4, 2.0, 0.0),
    "dora": AdapterConfig("dora", -1, 4, 2.0, 0.0),
    "full": AdapterConfig("full", 1, 4, 2.0, 0.0),
    "lora and whole weights": AdapterConfig("lora", -1, 4, 2.0, 0.0, train_also=("embeddings", "norms")),
}


@pytest.fixture
def start(worker_environment):
    """Makes engines that end with the test."""
    engines: list[Engine] = []

    def make(**options) -> Engine:
        engines.append(Engine(worker_environment, EngineOptions(**options)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(scope="module")
def shared(worker_environment) -> Iterator[Callable[..., Engine]]:
    """The one engine of a module with these options, without a model; its renderer takes seconds to start."""
    settle()
    engines: dict[str, Engine] = {}

    def empty(**options) -> Engine:
        key = repr(options)
        if key not in engines:
            engines[key] = Engine(worker_environment, EngineOptions(**options))
        engines[key].unload()
        status = engines[key].status()
        assert status.active_requests + status.waiting_requests == 0, "a test left requests behind"
        return engines[key]

    yield empty
    for engine in engines.values():
        engine.close()


@pytest.fixture
def engine(shared, tiny_model) -> Engine:
    """With the tiny model just loaded."""
    made = shared()
    load(made, tiny_model)
    return made


@pytest.fixture(scope="session")
def adapters(tiny_model, tmp_path_factory) -> dict[str, Path]:
    """The folder of an adapter of each form, with weights that change what the model says."""
    return {
        name: make_adapter(tiny_model, tmp_path_factory.mktemp("adapter"), c) for name, c in FORMS.items()
    }


def make_adapter(model_path: Path, folder: Path, config: AdapterConfig, *, seed: int = 1) -> Path:
    """An adapter as a training run leaves it, of random weights."""
    mx.random.seed(seed)
    model, _ = load_base(model_path)
    attach(model, config)
    weights = {k: v + 0.2 * mx.random.normal(v.shape) for k, v in trainable_weights(model).items()}
    save_weights(folder / "adapters.safetensors", weights)
    write_config(folder, config)
    return folder


def source(model_path: Path, adapter: Path | None = None) -> Source:
    """What an engine loads."""
    return Source(
        Target(str(model_path), None if adapter is None else str(adapter)),
        model_path,
        read_json(model_path / "config.json"),
        f"{model_path} {fingerprint(model_path)}",
        None if adapter is None else (adapter, adapter / "adapters.safetensors"),
        None if adapter is None else str(adapter),
    )


def load(engine: Engine, model_path: Path, adapter: Path | None = None) -> None:
    """Make it resident, and wait."""
    engine.load(source(model_path, adapter))
    engine.wait_until_loaded()


def ask(engine: Engine, text: str | None = None, **options) -> tuple[str, Finish]:
    """The whole answer to a question of one turn."""
    options.setdefault("sampling", GREEDY)
    if text is not None:
        options["messages"] = (Message("user", text),)
    chunks = list(engine.generate(GenerationRequest(**options)))
    return "".join(chunk.text for chunk in chunks), chunks[-1].finish


def weights_of(model) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def poll(holds) -> Iterator[None]:
    """Returns once `holds` is true; fails after ten seconds."""
    pause = threading.Event()
    for _ in range(1000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come to that")
