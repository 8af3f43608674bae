"""The loss without whole logits is the one with them: value, gradients, measurements, preferences, memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

from forgellm.training.batches import collate
from forgellm.training.chunked_loss import Chunking, chunked_losses, learned_bound
from forgellm.training.dpo import preference_loss
from forgellm.training.losses import learned_loss, learned_losses, measure
from forgellm.training.output_layer import OutputLayer, Unproven, output_layer
from forgellm.training.stepper import Stepper
from tests.training.architectures import VOCABULARY, a_model, adapted, quantized
from tests.training.loops import random_sequences

TILE = 1 << 11


def a_batch(rows: int = 3, width: int = 33) -> tuple[mx.array, mx.array, int]:
    """Tokens, what is learned of them, and how many targets that are."""
    rng = np.random.default_rng(4)
    learned = rng.random((rows, width)) < 0.4
    tokens = rng.integers(0, VOCABULARY, (rows, width)).astype(np.int32)
    return mx.array(tokens), mx.array(learned), int(learned[:, 1:].sum())


def learning(model: nn.Module, name: str) -> nn.Module:
    """The model whose `name` learns beside its factors."""
    found: nn.Module = dict(model.named_modules())[name]
    found.unfreeze()
    return model


def proven(model: nn.Module) -> OutputLayer:
    found = output_layer(model)
    assert isinstance(found, OutputLayer), found
    return found


def in_small_chunks(model: nn.Module, count: int | None = None) -> Chunking:
    return Chunking(proven(model), count, plain=0, tile=TILE)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "llama": lambda: adapted(a_model("llama", tied=False)),
    "qwen2 tied": lambda: adapted(a_model("qwen2")),
    "qwen3 tied": lambda: adapted(a_model("qwen3")),
    "gemma2 soft cap": lambda: adapted(a_model("gemma2")),
    "gemma3": lambda: adapted(a_model("gemma3_text")),
    "cohere factor": lambda: adapted(a_model("cohere")),
    "granite divisor": lambda: adapted(a_model("granite")),
    "minicpm scaled states": lambda: adapted(a_model("minicpm", tied=False)),
    "phi3": lambda: adapted(a_model("phi3", tied=False), "self_attn.qkv_proj"),
    "phi bias": lambda: adapted(a_model("phi")),
    "experts": lambda: adapted(a_model("qwen3_moe", tied=False)),
    "4 bits tied": lambda: adapted(quantized(a_model("llama"), 4)),
    "8 bits": lambda: adapted(quantized(a_model("llama", tied=False), 8)),
    "mxfp4": lambda: adapted(quantized(a_model("llama", tied=False), 4, "mxfp4")),
    "embeddings learn": lambda: learning(adapted(a_model("llama")), "model.embed_tokens"),
    "output layer learns": lambda: learning(adapted(a_model("llama", tied=False)), "lm_head"),
    "bias learns": lambda: learning(adapted(a_model("phi")), "lm_head"),
    "factors at the output": lambda: adapted(a_model("llama", tied=False), "lm_head", "self_attn.q_proj"),
    "factors at the embedding": lambda: adapted(a_model("llama"), "model.embed_tokens", "self_attn.q_proj"),
}


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_whole_logits(name: str) -> None:
    model = MODELS[name]()
    tokens, learned, count = a_batch()
    given = (model, tokens, learned, mx.array(1.0 / count))
    loss, gradients = nn.value_and_grad(model, learned_loss)(*given)
    whole = dict(tree_flatten(gradients))
    for bound in (None, count, count + 5):
        chunking = in_small_chunks(model, bound)
        found, gradients = nn.value_and_grad(model, partial(learned_loss, chunking=chunking))(*given)
        assert len(chunking.stages) > 1 or chunking.layer.learns, "it was one chunk"
        chunking.settle()
        assert float(found) == pytest.approx(float(loss), abs=5e-6)
        chunked = dict(tree_flatten(gradients))
        assert chunked.keys() == whole.keys()
        for key, value in whole.items():
            assert mx.abs(chunked[key] - value).max().item() <= 1e-6, key


def test_losses_of_a_half_precision_model_are_computed_in_single_precision() -> None:
    model = a_model("llama", tied=False)
    model.set_dtype(mx.bfloat16)
    tokens, learned, count = a_batch()
    whole = learned_losses(model, tokens, learned, chunking=None)
    chunked = learned_losses(model, tokens, learned, chunking=in_small_chunks(model, count))
    assert chunked.dtype == mx.float32
    assert mx.abs(chunked - whole).max().item() < 1e-5


def test_preferences_have_the_same_loss_metrics_and_gradients() -> None:
    model = adapted(a_model("qwen2"))
    tokens, learned, count = a_batch(rows=4)
    given = (model, tokens, learned, mx.array([-5.0, -6.0, -7.0, -8.0]), mx.array(0.5))
    (loss, metrics), gradients = nn.value_and_grad(model, partial(preference_loss, beta=0.3))(*given)
    chunked = partial(preference_loss, beta=0.3, chunking=in_small_chunks(model, count))
    (found, told), slopes = nn.value_and_grad(model, chunked)(*given)
    assert float(found) == pytest.approx(float(loss), rel=1e-5)
    for name, value in metrics.items():
        assert float(told[name]) == pytest.approx(float(value), abs=2e-5)
    for (_, a), (_, b) in zip(tree_flatten(gradients), tree_flatten(slopes), strict=True):
        assert mx.abs(a - b).max().item() <= 1e-5


def updates(*, chunked: bool) -> list[float]:
    """The losses of three updates of a model whose vocabulary is worth it, the second of two batches."""
    model = adapted(a_model("llama", vocab_size=10_000, hidden_size=32, intermediate_size=32, head_dim=8))
    stepper = Stepper(
        model,
        optim.AdamW(1e-3),
        max_grad_norm=1.0,
        compiled=False,
        layer=proven(model) if chunked else None,
    )
    rows = random_sequences([129] * 6, learned_share=0.3, vocabulary=10_000)
    batches = [collate(rows, np.arange(start, start + 2), 129, rows=2) for start in (0, 2, 4)]
    return [stepper.update(part, 1e-3).loss for part in (batches[:1], batches[1:], batches[:1])]


def test_a_run_of_updates_has_the_same_losses() -> None:
    whole = updates(chunked=False)
    assert np.ptp(whole) > 1e-4
    assert updates(chunked=True) == pytest.approx(whole, abs=2e-5)


def test_it_is_the_same_when_compiled() -> None:
    owner = nn.Module()
    owner.lm_head = nn.Linear(8, 64, bias=False)
    owner.lm_head.freeze()
    hidden, targets = mx.random.normal((4, 8)), mx.array([0, 63, 20, 40])

    def loss(hidden: mx.array) -> mx.array:
        chunking = Chunking(OutputLayer(owner, "lm_head", owner.lm_head, 64), tile=128, compiled=True)
        return chunked_losses(hidden, targets, chunking).sum()

    plain, compiled = mx.value_and_grad(loss)(hidden), mx.compile(mx.value_and_grad(loss))(hidden)
    for a, b in zip(plain, compiled, strict=True):
        assert mx.abs(a - b).max().item() <= 1e-6


KERNELS = """
import tempfile
from pathlib import Path
import mlx.core as mx
import mlx.nn as nn
from forgellm.training.chunked_loss import Chunking, chunked_losses
from forgellm.training.output_layer import OutputLayer

def kernels(blocks):
    owner = nn.Module()
    owner.lm_head = nn.Linear(8, 64 * blocks, bias=False)
    owner.freeze()
    layer = OutputLayer(owner, "lm_head", owner.lm_head, 64 * blocks)
    chunking = Chunking(layer, tile=512, compiled=True)
    loss = lambda hidden: chunked_losses(hidden, mx.arange(8), chunking).sum()
    mx.eval(mx.compile(mx.value_and_grad(loss))(mx.ones((8, 8))))
    return {path.name for path in Path(tempfile.gettempdir()).rglob("*.so")}

print(len(kernels(3)), len(kernels(5)))
"""


def test_more_blocks_of_the_vocabulary_compile_no_more_kernels(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True, check=True
    )
    few, many = done.stdout.split()
    assert few == many != "0"


def test_a_measurement_is_that_of_whole_logits_and_the_same_bit_for_bit() -> None:
    model = a_model("llama", vocab_size=10_000, hidden_size=32, intermediate_size=32, head_dim=8)
    rows = random_sequences([65] * 4, learned_share=0.5, vocabulary=10_000)
    found = measure(model, rows)
    assert found == measure(model, rows)
    whole = measure(model, rows, layer=Unproven("for comparison"))
    assert found.loss == pytest.approx(whole.loss, rel=1e-6)
    assert [n for _, n in found.sequence_losses] == [n for _, n in whole.sequence_losses]


def test_few_learned_tokens_are_all_that_reaches_the_output_layer() -> None:
    _, learned, count = a_batch()
    mask = learned[:, 1:].reshape(-1)
    places = in_small_chunks(a_model("llama"), count).places(mask)
    assert places is not None
    assert sorted(np.array(places)) == list(np.flatnonzero(np.array(mask)))


@pytest.mark.parametrize("few", [False, True])
def test_bounds_hold_everything_learned_and_are_few(few: bool) -> None:
    bounds = {learned_bound(count, 300, few=few) for count in range(301)}
    assert all(count <= learned_bound(count, 300, few=few) <= 300 for count in range(301))
    assert len(bounds) <= (5 if few else 20)
    assert min(bounds) >= 1


def peak_of(compute: Callable[[], Any]) -> int:
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(compute())
    return mx.get_peak_memory() - before


def a_layer_of_32000() -> tuple[OutputLayer, mx.array, mx.array]:
    """The layer, which does not learn, hidden states and targets."""
    owner = nn.Module()
    owner.lm_head = nn.Linear(16, 32_000, bias=False)
    owner.freeze()
    hidden, targets = mx.random.normal((256, 16)), mx.random.randint(0, 32_000, (256,))
    mx.eval(owner.parameters(), hidden, targets)
    return OutputLayer(owner, "lm_head", owner.lm_head, 32_000), hidden, targets


def test_a_vocabulary_of_32000_takes_a_sixth_of_the_memory() -> None:
    layer, hidden, targets = a_layer_of_32000()

    def whole(hidden: mx.array) -> mx.array:
        return nn.losses.cross_entropy(layer.module(hidden), targets).mean()

    def chunked() -> tuple[mx.array, mx.array]:
        chunking = Chunking(layer, tile=1 << 20)
        found = mx.value_and_grad(lambda h: chunked_losses(h, targets, chunking).mean())(hidden)
        chunking.settle()
        return found

    assert peak_of(chunked) < peak_of(lambda: mx.value_and_grad(whole)(hidden)) / 6


def test_a_compiled_step_computes_the_blocks_one_after_the_other() -> None:
    layer, hidden, targets = a_layer_of_32000()

    def peak(*, compiled: bool) -> int:
        chunking = Chunking(layer, tile=1 << 18, compiled=compiled)
        step = mx.compile(mx.value_and_grad(lambda h: chunked_losses(h, targets, chunking).mean()))
        mx.eval(step(hidden))
        return peak_of(lambda: step(hidden))

    assert peak(compiled=True) < 0.5 * peak(compiled=False)


def test_a_token_that_is_all_but_certain_or_impossible_has_a_finite_loss() -> None:
    owner = nn.Module()
    owner.lm_head = nn.Linear(8, 64, bias=False)
    owner.lm_head.weight = mx.concatenate([mx.full((1, 8), 40.0), mx.full((63, 8), -40.0)])
    owner.lm_head.freeze()
    chunking = Chunking(OutputLayer(owner, "lm_head", owner.lm_head, 64), tile=16)
    losses = chunked_losses(mx.ones((2, 8)), mx.array([0, 63]), chunking)
    assert np.array(losses).tolist() == [0.0, 640.0]
    assert math.isfinite(float(losses.sum()))


@pytest.mark.parametrize(("dtype", "off"), [(mx.float32, 1e-4), (mx.float16, 0.05), (mx.bfloat16, 0.05)])
def test_a_confident_token_keeps_its_small_gradient(dtype: mx.Dtype, off: float) -> None:
    mx.random.seed(0)
    head = nn.Linear(64, 4000, bias=False)
    head.weight = (0.05 * mx.random.normal((4000, 64))).astype(dtype)
    head.freeze()
    owner = nn.Module()
    owner.lm_head = head
    targets = mx.random.randint(0, 4000, (16,))
    rows = head.weight[targets].astype(mx.float32)
    # About as long as makes p = 0.999.
    hidden = (17.5 * rows / (rows * rows).sum(axis=1, keepdims=True)).astype(dtype)
    chunking = Chunking(OutputLayer(owner, "lm_head", head, 4000), tile=TILE)
    found = mx.grad(lambda hidden: chunked_losses(hidden, targets, chunking).sum())(hidden)

    weights, states = (np.array(one.astype(mx.float32), np.float64) for one in (head.weight, hidden))
    logits = states @ weights.T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    own = (np.arange(16), np.array(targets))
    shares[own] = 0
    shares[own] = -shares.sum(axis=1)
    truth = shares @ weights
    assert 0 < np.abs(shares[own]).max() < 0.003
    assert np.linalg.norm(np.array(found.astype(mx.float32)) - truth) < off * np.linalg.norm(truth)
