"""PiSSA is what its paper defines, changes nothing at first, and leaves adapters for the base as it is."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import load_adapters

from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.adapters import config_of, read_config, saved_config_of, write_config
from forgellm.training.adapters import attach, fuse, load_adapter, load_base
from forgellm.training.losses import learned_loss, measure
from forgellm.training.pissa import INITIAL, begin_at_principal, largest_triplets
from tests.training.loops import Run, a_spec, random_sequences

VALID = random_sequences([20, 30, 40], seed=2)
TOKENS = mx.array(np.random.default_rng(3).integers(5, 400, (2, 17)))


def begun(base: Path, folder: Path, **values: object) -> tuple[nn.Module, TrainingSpec]:
    spec = a_spec(lora_init="pissa", **values)
    model, _ = load_base(base)
    attach(model, config_of(spec))
    begin_at_principal(model, folder, attend=lambda: None)
    return model, spec


def test_the_factors_are_the_largest_singular_triplets_and_the_rest_is_the_residual(
    tiny_model: Path, tmp_path: Path
) -> None:
    model, spec = begun(tiny_model, tmp_path)
    for block in model.layers:
        for layer in (block.self_attn.k_proj, block.mlp.gate_proj, block.mlp.down_proj):
            weight = np.array(layer.linear.weight, np.float64)
            a, b = np.array(layer.lora_a, np.float64), np.array(layer.lora_b, np.float64)
            values = np.linalg.svd(weight, compute_uv=False)
            residual = weight - spec.lora_scale * (a @ b).T
            kept = np.linalg.svd(residual, compute_uv=False)
            # Eckart and Young: no matrix of that rank leaves less behind.
            np.testing.assert_allclose(kept[: -spec.lora_rank], values[spec.lora_rank :], rtol=1e-5)
            assert np.abs(kept[-spec.lora_rank :]).max() < 1e-5
            shares = values[: spec.lora_rank] / spec.lora_scale
            np.testing.assert_allclose(a.T @ a, np.diag(shares), atol=1e-5)
            np.testing.assert_allclose(b @ b.T, np.diag(shares), atol=1e-5)


def test_the_output_is_that_of_the_base_at_first_and_of_the_residual_with_factors_later(
    tiny_model: Path, tmp_path: Path
) -> None:
    base, _ = load_base(tiny_model)
    model, spec = begun(tiny_model, tmp_path)
    assert mx.array_equal(model(TOKENS), base(TOKENS)).item()
    layer = model.layers[0].mlp.up_proj
    initial = spec.lora_scale * (layer.lora_a @ layer.lora_b).T
    x = mx.random.normal((3, layer.linear.weight.shape[1]), key=mx.random.key(1))
    layer.lora_a = layer.lora_a + 0.1 * mx.random.normal(layer.lora_a.shape, key=mx.random.key(2))
    residual = layer.linear.weight - initial
    expected = x @ (residual + spec.lora_scale * (layer.lora_a @ layer.lora_b).T).T
    np.testing.assert_allclose(np.array(layer(x)), np.array(expected), atol=1e-5)


def test_a_large_matrix_gives_the_same_triplets_without_all_the_others() -> None:
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(n, 90)))[0] for n in (160, 120))
    weight = ((u * 0.9 ** np.arange(90)) @ v.T).astype(np.float32)
    left, values, right = (np.array(part) for part in largest_triplets(mx.array(weight), 8))
    whole = np.linalg.svd(weight, full_matrices=False)
    np.testing.assert_allclose(values, whole[1][:8], rtol=1e-5)
    best = (whole[0][:, :8] * whole[1][:8]) @ whole[2][:8]
    np.testing.assert_allclose((left * values) @ right, best, atol=1e-3)


def test_what_is_saved_fits_the_plain_base_and_has_the_loss_that_was_trained(
    run_loop: Run, tiny_model: Path, tmp_path: Path
) -> None:
    before = (tiny_model / "model.safetensors").read_bytes()
    spec = a_spec(lora_init="pissa", learning_rate=3e-3)
    trained = run_loop(spec, folder=tmp_path, train=random_sequences([24] * 4, seed=5))
    write_config(tmp_path, saved_config_of(spec))
    expected = trained.recorder.values("checkpoint", "validation_loss")[-1]
    assert trained.losses[-1] < trained.losses[0] - 0.1
    checkpoint = tmp_path / "0000012_adapters.safetensors"
    fresh, _ = load_base(tiny_model)
    load_adapter(fresh, checkpoint, read_config(tmp_path))
    assert measure(fresh, VALID).loss == pytest.approx(expected, abs=1e-6)
    fuse(fresh)
    assert measure(fresh, VALID).loss == pytest.approx(expected, abs=1e-5)
    (tmp_path / "adapters.safetensors").write_bytes(checkpoint.read_bytes())
    theirs = load_adapters(load_base(tiny_model)[0], str(tmp_path))
    assert measure(theirs, VALID).loss == pytest.approx(expected, abs=1e-6)
    assert (tiny_model / "model.safetensors").read_bytes() == before


def test_only_the_factors_learn_and_their_gradient_is_that_of_the_residual_form(
    tiny_model: Path, tmp_path: Path
) -> None:
    model, spec = begun(tiny_model, tmp_path)
    paper, _ = load_base(tiny_model)
    attach(paper, config_of(a_spec()))
    for ours, theirs in zip(model.layers, paper.layers, strict=True):
        named = dict(theirs.named_modules())
        for name, one in ours.named_modules():
            if "lora_a" in one:
                other = named[name]
                part = spec.lora_scale * (one.lora_a @ one.lora_b).T
                other.linear.weight = other.linear.weight - part
                other.lora_a, other.lora_b = one.lora_a, one.lora_b
    learns, expected = gradients(model), gradients(paper)
    assert learns.keys() == expected.keys()
    for name, value in learns.items():
        np.testing.assert_allclose(np.array(value), np.array(expected[name]), atol=2e-5, err_msg=name)


def gradients(model: nn.Module) -> dict[str, mx.array]:
    learned = mx.ones(TOKENS.shape, mx.bool_)
    _, found = nn.value_and_grad(model, learned_loss)(model, TOKENS, learned, mx.array(1.0 / 32))
    return dict(tree_flatten(found))


def test_a_paused_run_continues_bit_for_bit(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec(lora_init="pissa", max_iterations=6, save_every=3)
    whole = run_loop(spec, folder=tmp_path / "whole")
    first = run_loop(spec, folder=tmp_path / "cut", commands={4: "pause"})
    second = run_loop(spec, folder=tmp_path / "cut")
    assert first.losses + second.losses == whole.losses
    assert (tmp_path / "cut" / INITIAL).exists()
    name = "0000006_adapters.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_quantized_base_and_too_high_a_rank_are_refused_by_name(
    tiny_model: Path, tiny_model_quantized: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidField, match="lora_init pissa needs whole weights"):
        begun(tiny_model_quantized, tmp_path)
    with pytest.raises(InvalidField, match="singular values"):
        begun(tiny_model, tmp_path, lora_rank=65)
    assert not (tmp_path / INITIAL).exists()


@pytest.mark.parametrize(
    "other",
    [{"fine_tune_type": "dora"}, {"fine_tune_type": "full"}, {"lora_dropout": 0.1}, {"start_from": "x"}],
    ids=str,
)
def test_what_does_not_go_with_it_is_refused_by_name(other: dict[str, object]) -> None:
    with pytest.raises(ForgeError, match=f"does not go with {next(iter(other))}"):
        a_spec(lora_init="pissa", **other)
