"""Predicted against measured peak memory of training; `scripts/bench plan` runs it.

Small random models are written to a folder and trained for two iterations by the product's own loop, with a
validation before and after, over a grid of settings. What was said comes from their headers, as before a
start; what was measured is MLX's peak. Bytes do not depend on how busy a machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama, qwen3
from mlx_lm.tuner.trainer import grad_checkpoint
from mlx_lm.utils import quantize_model
from verdicts import Row, chosen, finish, within

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences, join
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.services.learnable import learnable
from forgellm.services.memory import estimate
from forgellm.storage.adapters import config_of
from forgellm.storage.models import ModelFolder, read_model_config
from forgellm.training.adapters import attach, load_base
from forgellm.training.batches import BatchOrder
from forgellm.training.loop import Plan, TrainingLoop

WITHIN = 0.15
"""How far what was said may be from what was measured."""

MODELS: dict[str, dict[str, Any]] = {
    "4k": {"vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 704},
    "32k": {"vocab_size": 32_000, "hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 704},
    "152k": {"vocab_size": 151_936, "hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 384},
    "deep": {"vocab_size": 1024, "hidden_size": 128, "num_hidden_layers": 32, "intermediate_size": 352},
    "bf16": {"vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 512},
}
EXPERTS: dict[str, dict[str, Any]] = {
    "olmoe": {"intermediate_size": 128, "num_experts": 16, "num_experts_per_tok": 8},
    "mixtral": {"intermediate_size": 512, "num_local_experts": 8, "num_experts_per_tok": 2},
    "gpt_oss": {"intermediate_size": 256, "num_local_experts": 8, "num_experts_per_tok": 4, "head_dim": 32},
}
"""By the architecture, of which some say the width of an expert as others that of the whole."""
_SHAPE = {"num_attention_heads": 8, "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "rope_theta": 1e4}
_VALIDATED = 2048
"""Tokens of the validation set."""


@dataclass(frozen=True)
class Setting:
    """One point of the grid: a model, the rows of a batch, their length, and fields of the spec."""

    model: str
    rows: int
    length: int
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        changed = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.model} {self.rows}x{self.length} {changed}".strip()


def grid() -> list[Setting]:
    """Batches, lengths, vocabularies and every way to train, alone and together."""
    alone: list[dict[str, Any]] = [
        {"grad_checkpoint": True},
        {"grad_accumulation_steps": 2},
        {"num_layers": 2},
        {"lora_rank": 64},
        {"fine_tune_type": "dora"},
        {"fine_tune_type": "full"},
        {"fine_tune_type": "full", "optimizer": "sgd"},
        {"fine_tune_type": "full", "grad_checkpoint": True},
        {"train_also": ["embeddings"]},
        {"optimizer": "adafactor", "fine_tune_type": "full"},
    ]
    return [
        *(Setting("32k", *batch) for batch in ((1, 128), (1, 1024), (4, 256), (8, 128), (8, 256))),
        *(Setting("32k", 4, 256, fields) for fields in alone),
        Setting("4k", 1, 512),
        Setting("4k", 8, 256),
        Setting("4k", 8, 256, {"grad_checkpoint": True}),
        Setting("4k", 4, 512, {"fine_tune_type": "full"}),
        Setting("4k", 2, 1024, {"lora_keys": ["self_attn.q_proj", "self_attn.v_proj"]}),
        Setting("152k", 1, 256),
        Setting("152k", 4, 256),
        Setting("152k", 4, 256, {"grad_checkpoint": True}),
        Setting("152k", 2, 256, {"fine_tune_type": "full", "train_also": ["embeddings", "norms"]}),
        Setting("bf16", 2, 128),
        Setting("bf16", 8, 128),
        Setting("bf16", 2, 128, {"fine_tune_type": "full"}),
        Setting("4bit", 2, 128),
        Setting("qwen3", 4, 256),
        Setting("deep", 4, 256, {"grad_checkpoint": True}),
        Setting("olmoe", 4, 128),
        Setting("mixtral", 4, 128),
        Setting("gpt_oss", 4, 128),
    ]


def write_models(root: Path) -> None:
    """Every model of the grid in its folder, as mlx-lm loads it."""
    for name, shape in MODELS.items():
        dtype = mx.bfloat16 if name == "bf16" else mx.float32
        values = {"model_type": "llama", **_SHAPE, **shape, "tie_word_embeddings": name != "4k"}
        _write(root / name, llama.Model(llama.ModelArgs(**values)), values, dtype=dtype)
    for name, experts in EXPERTS.items():
        values = {"model_type": name, **_SHAPE, **MODELS["32k"], "vocab_size": 1024, **experts}
        architecture = import_module(f"mlx_lm.models.{name}")
        _write(
            root / name,
            architecture.Model(architecture.ModelArgs.from_dict(values)),
            values,
            dtype=mx.float32,
        )
    values = {"model_type": "qwen3", **_SHAPE, **MODELS["4k"], "tie_word_embeddings": True}
    values |= {"head_dim": 48, "max_position_embeddings": 2048}
    _write(root / "qwen3", qwen3.Model(qwen3.ModelArgs(**values)), values, dtype=mx.float32)
    values = {"model_type": "llama", **_SHAPE, **MODELS["4k"], "tie_word_embeddings": False}
    model, values = quantize_model(llama.Model(llama.ModelArgs(**values)), values, 64, 4)
    _write(root / "4bit", model, values, dtype=None)


def _write(folder: Path, model: nn.Module, values: dict[str, Any], *, dtype: mx.Dtype | None) -> None:
    folder.mkdir()
    if dtype is not None:
        model.set_dtype(dtype)
        values["torch_dtype"] = str(dtype).removeprefix("mlx.core.")
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


def a_spec(setting: Setting) -> TrainingSpec:
    return parse_spec(
        {
            "model_name": setting.model,
            "training_type": "cpt",
            "dataset": "bench",
            "batch_size": setting.rows,
            "max_seq_length": setting.length,
            "max_iterations": 2,
            "eval_every": 1,
            "validation_tokens": _VALIDATED,
            **setting.fields,
        }
    )


def said(folder: Path, setting: Setting) -> int:
    """Bytes at the peak, as the preflight reckons them."""
    base = ModelFolder(setting.model, folder, read_model_config(setting.model, folder))
    spec = a_spec(setting)
    return estimate(base, spec, learnable(base, spec), length=setting.length).total


def sequences(setting: Setting, vocabulary: int, count: int) -> Sequences:
    rng = np.random.default_rng(0)
    learned = np.ones(setting.length, np.bool_)
    return join((rng.integers(0, vocabulary, setting.length).astype(np.int32), learned) for _ in range(count))


def measured(folder: Path, setting: Setting) -> int:
    """Bytes that MLX had at the peak of two iterations and their validations."""
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    spec = a_spec(setting)
    mx.reset_peak_memory()
    model, config = load_base(folder)
    mx.random.seed(0)
    attach(model, config_of(spec))
    if not spec.grad_checkpoint:
        return _peak(spec, model, config, setting) - before
    block = type(model.layers[0])
    forward = block.__call__
    # It changes the class, for every model that comes after it.
    grad_checkpoint(model.layers[0])
    try:
        return _peak(spec, model, config, setting) - before
    finally:
        block.__call__ = forward


def _peak(spec: TrainingSpec, model: nn.Module, config: dict[str, Any], setting: Setting) -> int:
    train = sequences(setting, config["vocab_size"], 4 * setting.rows)
    valid = sequences(setting, config["vocab_size"], max(2, _VALIDATED // setting.length))
    corpus = Corpus(train, valid, None, "bench", {})
    with tempfile.TemporaryDirectory() as root:
        run = Path(root, "models", "cpt", "bench")
        run.mkdir(parents=True)
        order = BatchOrder(train.lengths, spec.batch_size, seed=0)
        TrainingLoop(
            Plan(run, spec, corpus, order, 2, "bench"),
            model,
            emit=lambda _type, **_values: None,
            control=lambda: "run",
            monotonic=time.perf_counter,
            compiled=False,
        ).run()
    return int(mx.get_peak_memory())


def compare(settings: list[Setting], *, say: Callable[[str], None]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        write_models(Path(root))
        for setting in settings:
            folder = Path(root, setting.model)
            expected, found = said(folder, setting), measured(folder, setting)
            ratio = expected / found
            say(f"{setting.name:<58} {expected / 1e6:8.1f} {found / 1e6:8.1f} MB  {ratio:5.2f}")
            yield within(setting.name, ratio, WITHIN, predicted_bytes=expected, measured_bytes=found)


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    out = sys.stderr if options.json else sys.stdout
    say = functools.partial(print, file=out, flush=True)
    settings = chosen(parser, grid(), options.only)
    say(f"{'setting':<58} {'said':>8} {'measured':>8}     ratio")
    # mlx-lm prints how it quantized.
    with contextlib.redirect_stdout(sys.stderr):
        results = list(compare(settings, say=say))
    worst = max(abs(r["ratio"] - 1) for r in results)
    say(f"{len(results)} settings, the farthest off by {worst:.0%}")
    return finish(results, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
