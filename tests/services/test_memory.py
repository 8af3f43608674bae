"""What training is said to take beforehand is about what MLX then takes."""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from importlib import import_module
from itertools import islice

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.trainer import grad_checkpoint
from safetensors.numpy import save_file

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import join
from forgellm.domain.errors import InvalidModel
from forgellm.domain.spec import parse_spec
from forgellm.services.learnable import learnable
from forgellm.services.memory import estimate
from forgellm.storage.adapters import config_of
from forgellm.storage.models import ModelFolder, read_model_config
from forgellm.training.adapters import attach, load_base
from forgellm.training.batches import Cursor
from forgellm.training.dpo import Preferences
from forgellm.training.objective_of import order_of
from forgellm.training.objectives import Likelihood
from forgellm.training.optimizers import build_optimizer
from forgellm.training.packing import pack
from forgellm.training.reference import Reference
from forgellm.training.stepper import Stepper

LENGTH = 256


@pytest.mark.parametrize(
    "change",
    [{}, {"batch_size": 8}, {"fine_tune_type": "full"}, {"num_layers": 1}, {"lora_rank": 64}],
    ids=str,
)
def test_the_peak_of_a_training_step_is_about_what_was_said(tiny_model, change):
    wish = {"model_name": "tiny", "training_type": "cpt", "dataset": "none", "batch_size": 4, "lora_rank": 8}
    spec = parse_spec({**wish, **change})
    base = ModelFolder("tiny", tiny_model, read_model_config("tiny", tiny_model))
    found = estimate(base, spec, learnable(base, spec), length=LENGTH)
    # Nothing is validated here.
    said = found.total - found.validation
    assert measured_peak(tiny_model, spec) == pytest.approx(said, rel=0.25)


@pytest.mark.parametrize(
    ("change", "lengths"),
    [
        ({"packing": 1024, "batch_size": 1}, [12, 30, 40, 60, 90, 120] * 12),
        ({"packing": 256}, [12, 30, 40, 60, 90, LENGTH] * 6),
        ({"packing": 128}, [40, 60, 120, LENGTH] * 6),
        ({}, [40, 60, 120, LENGTH] * 4),
        ({"training_type": "ift", "objective": "dpo"}, [200, LENGTH] * 4),
    ],
    ids=str,
)
def test_so_it_is_where_sequences_share_rows_or_differ_in_length_or_are_pairs(tiny_model, change, lengths):
    wish = {"model_name": "tiny", "training_type": "cpt", "dataset": "none", "batch_size": 4, "lora_rank": 8}
    spec = parse_spec({**wish, **change})
    base = ModelFolder("tiny", tiny_model, read_model_config("tiny", tiny_model))
    found = estimate(base, spec, learnable(base, spec), length=max(lengths))
    assert measured_peak(tiny_model, spec, lengths) == pytest.approx(found.total - found.validation, rel=0.15)


SHAPE = {
    "vocab_size": 256,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
}
WISH = {
    "model_name": "some",
    "training_type": "cpt",
    "dataset": "none",
    "batch_size": 4,
    "validation_tokens": 64,
}
EXPERTS = {
    "olmoe": {"intermediate_size": 64, "num_experts": 8, "num_experts_per_tok": 6},
    "mixtral": {"intermediate_size": 128, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {"intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 4, "head_dim": 16},
}


@pytest.mark.parametrize("kind", EXPERTS)
def test_every_expert_that_a_token_goes_through_is_reckoned_with(tmp_path, kind):
    base = write_model(tmp_path, {**SHAPE, **EXPERTS[kind], "model_type": kind})
    spec = parse_spec(WISH)
    said = estimate(base, spec, learnable(base, spec), length=LENGTH).total
    assert measured_peak(base.path, spec) == pytest.approx(said, rel=0.15)


@pytest.mark.parametrize("blocks", [4, 16])
def test_checkpointed_blocks_are_not_taken_for_whole_ones_however_many_there_are(tmp_path, blocks):
    shape = {**SHAPE, "num_hidden_layers": blocks, "intermediate_size": 192}
    base = write_model(tmp_path, {**shape, "model_type": "llama", "tie_word_embeddings": True})
    spec = parse_spec({**WISH, "batch_size": 2, "grad_checkpoint": True})
    said = estimate(base, spec, learnable(base, spec), length=LENGTH).total
    assert measured_peak(base.path, spec) == pytest.approx(said, rel=0.15)


LLAMA = {**SHAPE, "model_type": "llama", "intermediate_size": 192, "tie_word_embeddings": True}


@pytest.mark.parametrize("change", [{}, {"fine_tune_type": "full"}, {"grad_checkpoint": True}], ids=str)
def test_attention_of_a_half_precision_model_is_kept_in_its_own_precision(tmp_path, change):
    base = write_model(tmp_path, LLAMA, dtype="bfloat16")
    spec = parse_spec({**WISH, **change, "batch_size": 2})
    said = estimate(base, spec, learnable(base, spec), length=512).total
    assert measured_peak(base.path, spec, [512] * 4) == pytest.approx(said, rel=0.15)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_small_batches_take_what_validating_4096_tokens_takes(tmp_path, dtype):
    base = write_model(tmp_path, LLAMA, dtype=dtype)
    spec = parse_spec({**WISH, "batch_size": 1, "validation_tokens": 10_000})
    said = estimate(base, spec, learnable(base, spec), length=LENGTH)
    _, objective = epoch(spec, [LENGTH] * 32)
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    model, _optimizer = prepared(base.path, spec)
    mx.reset_peak_memory()
    objective.measure(model)
    assert said.validation > 0
    assert mx.get_peak_memory() - before == pytest.approx(said.total, rel=0.2)


def test_sequences_of_many_lengths_are_not_validated_all_at_once(tmp_path):
    base = write_model(tmp_path, LLAMA)
    spec = parse_spec({**WISH, "batch_size": 1, "validation_tokens": 40_000})

    def validation(**usual):
        return estimate(base, spec, learnable(base, spec), length=LENGTH, **usual).validation

    assert validation(usual=LENGTH) == validation(usual=0.6 * LENGTH) == validation()
    assert 0 < validation(usual=0.2 * LENGTH) < validation()


def test_a_model_of_experts_has_room_for_those_that_are_shared(tmp_path):
    values = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128}
    spec = parse_spec(WISH)

    def activations(change):
        base = headers_only(tmp_path, {**SHAPE, **values, **change}, {})
        return estimate(base, spec, learnable(base, spec), length=LENGTH).activations

    alone, shared = activations({}), activations({"n_shared_experts": 1})
    assert shared > alone
    assert shared == activations({"shared_expert_intermediate_size": 128})


def test_widths_that_the_configuration_leaves_out_are_those_of_the_weights(tmp_path):
    tensors = {
        "language_model.model.embed_tokens.weight": (256, 64),
        "language_model.model.layers.0.self_attn.q_proj.weight": (64, 64),
        "language_model.model.layers.0.self_attn.q_norm.weight": (16,),
        "language_model.model.layers.0.mlp.gate_proj.weight": (192, 64),
    }
    spec = parse_spec(WISH)
    base = headers_only(tmp_path, {"vocab_size": 256}, tensors)
    said = headers_only(tmp_path, {**SHAPE, "intermediate_size": 192}, tensors)
    learns = learnable(base, spec)
    assert estimate(base, spec, learns, length=LENGTH) == estimate(said, spec, learns, length=LENGTH)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("hidden_size", "hidden state"),
        ("num_attention_heads", "attention heads"),
        ("intermediate_size", "feed-forward"),
    ],
)
def test_a_width_that_nothing_says_is_named_instead_of_taken_for_none(tmp_path, missing, words):
    values = {name: value for name, value in {**SHAPE, "intermediate_size": 192}.items() if name != missing}
    base, spec = headers_only(tmp_path, values, {}), parse_spec(WISH)
    with pytest.raises(InvalidModel, match=words):
        estimate(base, spec, learnable(base, spec), length=LENGTH)


def headers_only(folder, values, tensors) -> ModelFolder:
    arrays = {name: np.zeros(shape, np.float16) for name, shape in {"other": (1,), **tensors}.items()}
    save_file(arrays, folder / "model.safetensors")
    return ModelFolder("some", folder, {"model_type": "some", **values})


def write_model(folder, values, dtype="float32") -> ModelFolder:
    """Random weights of the architecture that mlx-lm has under its model_type."""
    architecture = import_module(f"mlx_lm.models.{values['model_type']}")
    model = architecture.Model(architecture.ModelArgs.from_dict(values))
    model.set_dtype(getattr(mx, dtype))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps({**values, "torch_dtype": dtype}))
    return ModelFolder("some", folder, read_model_config("some", folder))


@contextmanager
def checkpointed(model, *, wanted):
    block = type(model.layers[0])
    forward = block.__call__
    if wanted:
        # It changes the class, for every model that comes after it.
        grad_checkpoint(model.layers[0])
    yield
    block.__call__ = forward


def measured_peak(path, spec, lengths=None) -> int:
    """Of an epoch of sequences of these `lengths`, or of two batches of the usual one."""
    # What others have left is not to go while this counts.
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    model, optimizer = prepared(path, spec)
    order, objective = epoch(spec, lengths or [LENGTH] * 2 * spec.batch_size)
    stepper = Stepper(model, optimizer, max_grad_norm=1.0, compiled=False, loss=objective.loss)
    mx.reset_peak_memory()
    with checkpointed(model, wanted=spec.grad_checkpoint):
        for _, chosen, width in islice(order.from_cursor(Cursor()), order.batches_per_epoch):
            stepper.update([objective.batch(chosen, width, rows=order.rows(width))], 1e-4)
    return int(mx.get_peak_memory()) - before


def prepared(path, spec):
    model, _ = load_base(path)
    attach(model, config_of(spec))
    optimizer = build_optimizer(spec)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.parameters(), optimizer.state)
    return model, optimizer


def epoch(spec, lengths):
    rng = np.random.default_rng(0)
    drawn = (rng.integers(5, 250, length).astype(np.int32) for length in lengths)
    sequences = join((ids, np.ones(len(ids), np.bool_)) for ids in drawn)
    corpus = Corpus(sequences, sequences, None, "some", {})
    packing = None if spec.packing is None else pack(sequences.lengths, spec.packing, seed=0)
    known = np.zeros(len(sequences))
    pairs = Preferences(corpus, Reference(known, known), spec.dpo_beta)
    return order_of(spec, corpus, packing), pairs if spec.objective == "dpo" else Likelihood(corpus, packing)
