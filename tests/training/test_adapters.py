"""What learns is what was asked for, and what cannot learn is refused by name."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_map

from forgellm.domain.errors import InvalidAdapter, InvalidField
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import (
    attach,
    check_precision,
    fuse,
    load_adapter,
    load_base,
    load_trainable,
    save_weights,
    trainable_weights,
)
from tests.training.loops import a_spec


def learning(base: Path, **values: object) -> set[str]:
    model, _ = load_base(base)
    attach(model, config_of(a_spec(**values)))
    return set(trainable_weights(model))


def test_full_trains_whole_blocks_and_nothing_else(tiny_model: Path) -> None:
    names = learning(tiny_model, fine_tune_type="full", num_layers=1)
    assert names
    assert all(name.startswith("model.layers.1.") for name in names)


def test_no_blocks_leaves_only_what_was_named_besides(tiny_model: Path) -> None:
    names = learning(tiny_model, fine_tune_type="full", num_layers=0, train_also=["norms"])
    assert len(names) == 5
    assert all("norm" in name for name in names)


def test_embeddings_norms_and_output_learn_by_choice_beside_the_factors(tiny_model: Path) -> None:
    names = learning(tiny_model, train_also=["embeddings", "norms", "output"])
    assert "model.embed_tokens.weight" in names
    assert "model.norm.weight" in names
    assert any(name.endswith("lora_a") for name in names)


@pytest.mark.parametrize(
    "values",
    [
        {"fine_tune_type": "full"},
        {"train_also": ["embeddings"]},
        {"lora_keys": ["mlp"]},
        {"lora_keys": ["nope"]},
    ],
    ids=["full", "embeddings", "no linear module", "unknown module"],
)
def test_what_cannot_learn_is_refused_with_a_way_out(
    tiny_model_quantized: Path, values: dict[str, object]
) -> None:
    with pytest.raises(InvalidField) as caught:
        learning(tiny_model_quantized, **values)
    assert caught.value.suggestion


def test_whole_float16_weights_are_refused_where_the_optimiser_would_divide_by_zero(tiny_model: Path) -> None:
    model, _ = load_base(tiny_model)
    model.update(tree_map(lambda w: w.astype(mx.float16), model.parameters()))
    attach(model, config_of(a_spec(fine_tune_type="full")))
    with pytest.raises(InvalidField, match="float16"):
        check_precision(model, "adamw")
    check_precision(model, "sgd")


def test_what_was_loaded_to_answer_drops_nothing_out(tiny_model: Path, tmp_path: Path) -> None:
    config = config_of(a_spec(lora_dropout=0.5))
    model, _ = load_base(tiny_model)
    attach(model, config)
    weights = {name: mx.full(value.shape, 0.1) for name, value in trainable_weights(model).items()}
    save_weights(tmp_path / "adapters.safetensors", weights)
    loaded, _ = load_base(tiny_model)
    load_adapter(loaded, tmp_path / "adapters.safetensors", config)
    tokens = mx.array([[5, 6, 7, 8]])
    assert mx.array_equal(loaded(tokens), loaded(tokens))


@pytest.mark.parametrize("damage", ["missing", "foreign", "shape", "not finite"])
def test_weights_that_do_not_fit_are_refused_and_named(tiny_model: Path, damage: str) -> None:
    model, _ = load_base(tiny_model)
    attach(model, config_of(a_spec()))
    weights = dict(trainable_weights(model))
    name = sorted(weights)[0]
    if damage == "missing":
        del weights[name]
    elif damage == "foreign":
        weights["model.other.lora_a"] = weights[name]
    elif damage == "shape":
        weights[name] = weights[name][:, :2]
    else:
        weights[name] = weights[name] * float("nan")
    with pytest.raises(InvalidAdapter, match="does not fit"):
        load_trainable(model, weights, source="x.safetensors")


@pytest.mark.parametrize("mode", ["mxfp4", "nvfp4", "mxfp8"])
def test_factors_are_fused_into_bases_whose_scales_are_bytes(tiny_model: Path, mode: str) -> None:
    model, _ = load_base(tiny_model)
    # The smallest group these formats take is 32, which every matrix of the tiny model divides into.
    nn.quantize(model, mode=mode, class_predicate=lambda _, m: isinstance(m, nn.Linear))
    attach(model, config_of(a_spec(lora_rank=4)))
    tokens = mx.array([[5, 6, 7, 8, 9]])
    model.eval()
    expected = model(tokens)
    fuse(model)
    assert mx.abs(model(tokens).astype(mx.float32) - expected).max().item() < 0.1
