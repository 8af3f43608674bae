"""Predicted against measured peak memory of training; `scripts/bench plan` runs it.

Small random models are written to a folder and trained by the product's own loop, for two iterations or,
where lengths are mixed, through an epoch, with a validation before and after, over a grid of settings. What
was said comes from their headers and the longest sequence, as before a start; what was measured is MLX's
peak, from loading on. It hardly depends on how busy a machine is.
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
from bench_training import chat_lengths
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
from forgellm.storage.models import ModelFolder, read_model_config, vocabulary_size
from forgellm.training.adapters import attach, load_base
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.objective_of import order_of
from forgellm.training.packing import pack
from forgellm.training.reference import measure_reference
from forgellm.training.separation import decided

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
_VALIDATED = 4096
"""Tokens of the validation set, as many as are measured at once."""
_CHAT_MEAN = 110
"""Tokens of a chat."""


@dataclass(frozen=True)
class Setting:
    """One point of the grid: a model, the rows or pairs of a batch, their length, and fields of the spec.

    All sequences have that length; in a `chat` it is the most, and they are like a chat dataset's.
    """

    model: str
    rows: int
    length: int
    fields: dict[str, Any] = field(default_factory=dict)
    chat: bool = False

    @property
    def name(self) -> str:
        changed = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.model} {self.rows}x{self.length} {'chat ' * self.chat}{changed}".strip()


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
        Setting("4k", 1, 64, {"fine_tune_type": "full"}),
        Setting("4k", 2, 1024, {"lora_keys": ["self_attn.q_proj", "self_attn.v_proj"]}),
        Setting("152k", 1, 256),
        Setting("152k", 4, 256),
        Setting("152k", 4, 256, {"grad_checkpoint": True}),
        Setting("152k", 2, 256, {"fine_tune_type": "full", "train_also": ["embeddings", "norms"]}),
        Setting("bf16", 2, 128),
        Setting("bf16", 8, 128),
        Setting("bf16", 1, 1024),
        Setting("bf16", 8, 128, {"grad_checkpoint": True}),
        Setting("bf16", 2, 128, {"fine_tune_type": "full"}),
        # A CPU takes its time for these products.
        Setting("4bit", 2, 128, {"validation_tokens": 256}),
        Setting("qwen3", 4, 256),
        Setting("deep", 4, 256, {"grad_checkpoint": True}),
        Setting("olmoe", 4, 128),
        Setting("mixtral", 4, 128),
        Setting("mixtral", 1, 128, {"fine_tune_type": "full"}),
        Setting("gpt_oss", 4, 128),
        *mixed(),
        *preferences(),
    ]


def mixed() -> list[Setting]:
    """Sequences of many lengths, each in a row or sharing rows."""
    return [
        Setting("32k", 4, 1024, chat=True),
        Setting("4k", 8, 512, chat=True),
        Setting("32k", 1, 1024, {"packing": 1024}, chat=True),
        Setting("32k", 2, 512, {"packing": 512}, chat=True),
        Setting("32k", 2, 512, {"packing": 512, "grad_checkpoint": True}, chat=True),
        Setting("4k", 2, 512, {"packing": 512}, chat=True),
        Setting("4k", 1, 2048, {"packing": 2048}, chat=True),
        Setting("4k", 1, 128, {"packing": 1024}, chat=True),
        Setting("4k", 1, 768, {"packing": 128}, chat=True),
        Setting("4k", 2, 256, {"packing": 1024}),
        Setting("4k", 2, 512, {"packing": 512, "fine_tune_type": "full"}, chat=True),
        Setting("152k", 1, 512, {"packing": 512}, chat=True),
        Setting("bf16", 2, 512, {"packing": 512}, chat=True),
        Setting("deep", 2, 512, {"packing": 512, "grad_checkpoint": True}, chat=True),
        Setting("qwen3", 2, 512, {"packing": 512}, chat=True),
    ]


def preferences() -> list[Setting]:
    """Pairs, both sides of which are in one batch."""
    dpo = {"objective": "dpo"}
    return [
        Setting("32k", 2, 256, dpo),
        Setting("32k", 4, 512, dpo, chat=True),
        Setting("32k", 1, 128, {**dpo, "train_also": ["embeddings"]}),
        Setting("4k", 4, 256, dpo),
        Setting("4k", 4, 256, {**dpo, "grad_checkpoint": True}),
        Setting("4k", 2, 256, {**dpo, "fine_tune_type": "full"}),
        Setting("152k", 2, 256, dpo),
        Setting("bf16", 2, 256, dpo),
    ]


def write_models(root: Path, wanted: set[str]) -> None:
    """Those models of the grid, each in its folder, as mlx-lm loads it."""
    for name, model, values in _models():
        # Weights that nobody looks at are never drawn.
        if name in wanted:
            _write(root / name, model, values)


def _models() -> Iterator[tuple[str, nn.Module, dict[str, Any]]]:
    for name, shape in MODELS.items():
        dtype = "bfloat16" if name == "bf16" else "float32"
        values = {"model_type": "llama", **_SHAPE, **shape, "tie_word_embeddings": name != "4k"}
        yield name, llama.Model(llama.ModelArgs(**values)), {**values, "torch_dtype": dtype}
    for name, experts in EXPERTS.items():
        values = {"model_type": name, **_SHAPE, **MODELS["32k"], "vocab_size": 1024, **experts}
        architecture = import_module(f"mlx_lm.models.{name}")
        model = architecture.Model(architecture.ModelArgs.from_dict(values))
        yield name, model, {**values, "torch_dtype": "float32"}
    values = {"model_type": "qwen3", **_SHAPE, **MODELS["4k"], "tie_word_embeddings": True}
    values |= {"head_dim": 48, "max_position_embeddings": 2048}
    yield "qwen3", qwen3.Model(qwen3.ModelArgs(**values)), {**values, "torch_dtype": "float32"}
    values = {"model_type": "llama", **_SHAPE, **MODELS["4k"], "tie_word_embeddings": False}
    model = llama.Model(llama.ModelArgs(**values))
    # As most are published; what is not quantized decides what is computed in.
    model.set_dtype(mx.bfloat16)
    model, values = quantize_model(model, values, 64, 4)
    yield "4bit", model, {**values, "torch_dtype": "bfloat16"}


def _write(folder: Path, model: nn.Module, values: dict[str, Any]) -> None:
    folder.mkdir()
    if "quantization" not in values:
        model.set_dtype(getattr(mx, values["torch_dtype"]))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


def a_spec(setting: Setting) -> TrainingSpec:
    return parse_spec(
        {
            "model_name": setting.model,
            "training_type": "ift" if "objective" in setting.fields else "cpt",
            "dataset": "bench",
            "batch_size": setting.rows,
            "max_seq_length": setting.length,
            "validation_tokens": _VALIDATED,
            **setting.fields,
        }
    )


def said(folder: Path, setting: Setting, corpus: Corpus) -> int:
    """Bytes at the peak, as the preflight reckons them where an earlier run has counted the data."""
    base = ModelFolder(setting.model, folder, read_model_config(setting.model, folder))
    spec = a_spec(setting)
    lengths = corpus.train.lengths
    longest, usual = int(lengths.max()), float(lengths.mean())
    return estimate(base, spec, learnable(base, spec), length=longest, usual=usual).total


def a_corpus(setting: Setting, vocabulary: int) -> Corpus:
    """Some batches of random tokens, and a validation set."""
    spec = a_spec(setting)
    packing = spec.packing or 0
    if setting.chat:
        count = setting.rows * max(20, packing // 20)
    else:
        count = 4 * setting.rows * max(1, packing // setting.length)
    train = sequences(setting, vocabulary, count, seed=2)
    of_an_item = sides(setting) * (_CHAT_MEAN if setting.chat else setting.length)
    valid = sequences(setting, vocabulary, spec.validation_tokens // of_an_item, seed=3)
    return Corpus(train, valid, None, "bench", {})


def sequences(setting: Setting, vocabulary: int, count: int, *, seed: int) -> Sequences:
    """So many, or so many pairs, whose first third is what the answers follow."""
    rng, all_of_them = np.random.default_rng(seed), count * sides(setting)
    uniform = [setting.length] * all_of_them
    lengths = chat_lengths(all_of_them, setting.length, seed) if setting.chat else uniform
    first = 3 if sides(setting) == 2 else setting.length + 1
    return join(
        (rng.integers(0, vocabulary, n).astype(np.int32), np.arange(n) >= n // first) for n in lengths
    )


def sides(setting: Setting) -> int:
    """Sequences of one item."""
    return 2 if "objective" in setting.fields else 1


def measured(folder: Path, setting: Setting, corpus: Corpus) -> int:
    """Bytes that MLX had at the peak of some iterations and their validations, and of what comes before."""
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    with tempfile.TemporaryDirectory() as root:
        run = Path(root, "models", "cpt", "bench")
        run.mkdir(parents=True)
        train(run, folder, a_spec(setting), corpus, all_of_it=setting.chat)
    return int(mx.get_peak_memory()) - before


def train(run: Path, folder: Path, spec: TrainingSpec, corpus: Corpus, *, all_of_it: bool) -> None:
    """As a run's worker does."""
    model, config = load_base(folder)
    packing = None
    if spec.packing is not None:
        found = decided(run, model, width=spec.packing, vocabulary=config["vocab_size"])
        assert found.exact, found.reason
        packing = pack(corpus.train.lengths, found.width, seed=spec.seed)
    order = order_of(spec, corpus, packing)
    batches = order.batches_per_epoch if all_of_it else 2 * spec.grad_accumulation_steps
    if spec.objective == "dpo":
        measure_reference(
            run,
            model,
            corpus,
            order=order,
            batches=batches,
            rows=spec.batch_size,
            attend=lambda: None,
        )
    mx.random.seed(0)
    attach(model, config_of(spec))
    with checkpointed(model, wanted=spec.grad_checkpoint):
        TrainingLoop(
            Plan(run, spec, corpus, order, batches // spec.grad_accumulation_steps, "bench", packing),
            model,
            emit=lambda _type, **_values: None,
            control=lambda: "run",
            monotonic=time.perf_counter,
            compiled=False,
        ).run()


@contextlib.contextmanager
def checkpointed(model: nn.Module, *, wanted: bool) -> Iterator[None]:
    block = type(model.layers[0])
    forward = block.__call__
    if wanted:
        # It changes the class, for every model that comes after it.
        grad_checkpoint(model.layers[0])
    try:
        yield
    finally:
        block.__call__ = forward


def compare(settings: list[Setting], *, say: Callable[[str], None]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as root:
        write_models(Path(root), {setting.model for setting in settings})
        for setting in settings:
            folder = Path(root, setting.model)
            config = read_model_config(setting.model, folder)
            corpus = a_corpus(setting, vocabulary_size(config))
            expected, found = said(folder, setting, corpus), measured(folder, setting, corpus)
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
