"""Sequences in shared rows: none is lost, none sees another, and what cannot be packed is refused."""

from __future__ import annotations

import importlib
import json
import shutil
from datetime import datetime
from itertools import islice
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten

from forgellm.domain.rows import batch_shapes, batches_per_epoch
from forgellm.domain.runs import Event, RunKind
from forgellm.domain.spec import to_dict
from forgellm.jobs.job import Job, utc_now
from forgellm.jobs.train import train
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace
from forgellm.training.adapters import load_base
from forgellm.training.batches import BatchOrder, Cursor, collate
from forgellm.training.losses import learned_loss
from forgellm.training.objectives import likelihood
from forgellm.training.packing import Packing, lay_out, pack
from forgellm.training.separation import decided, shared_rows, tried
from tests.training.loops import Run, Trained, a_spec, random_sequences

lengths = st.lists(st.integers(2, 300), min_size=1, max_size=200).map(lambda x: np.array(x, np.int64))

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "vocab_size": 400,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
EXPERTS = {"num_experts": 4, "moe_intermediate_size": 32, "decoder_sparse_step": 1, "norm_topk_prob": True}
WINDOW = {"sliding_window": 12, "sliding_window_pattern": 2}
PACKED = {
    "llama": {},
    "llama with a window": WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    "qwen2": {},
    "qwen3": {},
    "phi3": {},
    "gemma3_text": WINDOW | {"query_pre_attn_scalar": 8},
    "qwen3_moe": EXPERTS | {"num_experts_per_tok": 2, "mlp_only_layers": []},
}
REFUSED = {
    # Its scores have an axis more, on which the rows of our mask would fall.
    "gemma2": ({"query_pre_attn_scalar": 8}, "losses change"),
    "gpt2": (
        {"n_ctx": 512, "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 512}
        | {"layer_norm_epsilon": 1e-5},
        "losses change",
    ),
    "mamba": (
        {"state_size": 8, "conv_kernel": 4, "time_step_rank": 4, "use_bias": False, "use_conv_bias": True},
        "more than keys and values",
    ),
    "ministral3": (
        {
            "rope_parameters": {"rope_theta": 1e4, "llama_4_scaling_beta": 0.1, "type": "default"}
            | {"rope_type": "default", "original_max_position_embeddings": 16}
        },
        "losses change",
    ),
}


ONE_ROW = {
    "training_type": "ift",
    "dataset": "questions",
    "packing": 256,
    "batch_size": 1,
    "max_iterations": 2,
    "save_every": 2,
    "max_seq_length": 64,
    "learning_rate": 1e-4,
}


def a_model(name: str, **values: object) -> nn.Module:
    """A random float32 model of an architecture of mlx-lm's."""
    module = importlib.import_module(f"mlx_lm.models.{name.split()[0]}")
    mx.random.seed(0)
    model: nn.Module = module.Model(
        module.ModelArgs.from_dict({"model_type": name.split()[0], **SHAPE, **values})
    )
    model.eval()
    return model


@given(lengths, st.integers(16, 200), st.integers(1, 4))
def test_every_sequence_is_in_one_row_and_every_row_once_an_epoch(
    lengths: np.ndarray, width: int, batch_size: int
) -> None:
    packing = pack(lengths, width, seed=1)
    assert sorted(packing.members.tolist()) == list(range(len(lengths)))
    for row in range(len(packing)):
        members = packing.row(row)
        assert packing.lengths[row] == lengths[members].sum() <= packing.widths[row]
        assert len(members) == 1 or packing.widths[row] <= width
    order = an_order(packing, width, batch_size)
    batches = list(islice(order.from_cursor(Cursor()), order.batches_per_epoch))
    assert all(len(rows) <= max(1, batch_size * width // tokens) for _, rows, tokens in batches)
    assert all(packing.widths[rows].max() == tokens for _, rows, tokens in batches)
    shapes = {(order.rows(tokens), tokens) for _, _, tokens in batches}
    said = batch_shapes(a_spec(packing=width, batch_size=batch_size), int(lengths.max()))
    assert shapes <= {*said}
    assert said[-1] in shapes
    seen = sorted(int(m) for _, rows, _ in batches for r in rows for m in packing.row(int(r)))
    assert seen == list(range(len(lengths)))


def an_order(packing: Packing, width: int, batch_size: int) -> BatchOrder:
    tokens, widths = batch_size * width, packing.widths
    return BatchOrder(packing.lengths, batch_size, seed=1, tokens=tokens, widths=widths)


def test_batches_of_chat_lengths_are_full_and_as_many_as_was_said_before() -> None:
    drawn = np.clip(np.random.default_rng(0).lognormal(4.3, 0.9, 4000), 8, 1024).astype(np.int64)
    packing = pack(drawn, 512, seed=0)
    assert drawn.sum() / packing.widths.sum() > 0.95
    said = batches_per_epoch(a_spec(packing=512), sequences=len(drawn), tokens=int(drawn.sum()))
    assert an_order(packing, 512, 4).batches_per_epoch == pytest.approx(said, rel=0.1)


@pytest.mark.parametrize("name", PACKED)
def test_each_example_has_the_loss_it_has_alone(name: str) -> None:
    model = a_model(name, **PACKED[name])
    sequences = random_sequences([30, 7, 20, 16, 40, 2, 25], seed=3, learned_share=0.7)
    packing = pack(sequences.lengths, 64, seed=0)
    assert tried(model, width=64, vocabulary=400).exact
    batch = lay_out(sequences, packing, np.arange(len(packing)), 64, rows=len(packing))
    tokens, learned, segments = batch.arrays
    one, cache = mx.array(1.0), shared_rows(model, segments[:, :-1])
    rows = mx.arange(len(packing))[:, None]
    for row in range(len(packing)):
        for number, member in enumerate(packing.row(row), start=1):
            ids, is_learned = (mx.array(part)[None] for part in sequences[int(member)])
            alone = learned_loss(model, ids, is_learned, one)
            own = learned & (segments == number) & (rows == row)
            together = learned_loss(model, tokens, own, one, cache=cache)
            assert together.item() == pytest.approx(alone.item(), rel=2e-6, abs=2e-5)


def test_the_gradients_are_those_of_the_same_examples_in_rows_of_their_own(tiny_model: Path) -> None:
    model, _ = load_base(tiny_model)
    model.unfreeze()
    sequences = random_sequences([30, 7, 20, 5, 40], seed=3, learned_share=0.7)
    packing = pack(sequences.lengths, 64, seed=0)
    shared = lay_out(sequences, packing, np.arange(len(packing)), 64, rows=3)
    single = collate(sequences, np.arange(5), 40, rows=5)
    assert (shared.targets, shared.true_tokens) == (single.targets, single.true_tokens)
    of = nn.value_and_grad(model, likelihood)
    (a, _), ours = of(model, *shared.arrays, mx.array(0.01))
    (b, _), theirs = of(model, *single.arrays, mx.array(0.01))
    assert a.item() == pytest.approx(b.item(), rel=1e-6)
    for (name, one), (_, other) in zip(tree_flatten(ours), tree_flatten(theirs), strict=True):
        assert mx.abs(one - other).max().item() <= 1e-6, name


@pytest.mark.parametrize("name", REFUSED)
def test_what_counts_positions_or_carries_a_state_is_refused_with_the_reason(name: str) -> None:
    values, reason = REFUSED[name]
    found = tried(a_model(name, **values), width=64, vocabulary=400)
    assert not found.exact
    assert reason in found.reason


def test_what_was_found_holds_for_the_whole_run(tiny_model: Path, tmp_path: Path) -> None:
    model, _ = load_base(tiny_model)
    first = decided(tmp_path, model, width=64, vocabulary=400)
    assert first.exact
    assert decided(tmp_path, a_model("mamba", **REFUSED["mamba"][0]), width=64, vocabulary=400) == first


def test_trying_takes_no_whole_logits() -> None:
    model = a_model("llama", vocab_size=32_000)
    mx.eval(model.parameters())
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    assert tried(model, width=512, vocabulary=32_000).exact
    logits = 4 * 512 * 32_000
    assert mx.get_peak_memory() - before < 0.7 * logits


def test_rows_that_nobody_shares_are_causal_alone() -> None:
    sequences = random_sequences([60, 50, 9])
    packing = Packing(np.arange(3), np.arange(4), sequences.lengths, np.array([64, 64, 64]))
    assert lay_out(sequences, packing, np.array([0, 1]), 64, rows=2).segments is None


def test_a_paused_packed_run_goes_on_bit_for_bit(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec(packing=128, batch_size=2, lora_dropout=0.1, grad_accumulation_steps=2, max_iterations=6)
    whole = run_loop(spec, folder=tmp_path / "whole")
    first = run_loop(spec, folder=tmp_path / "cut", commands={3: "pause"})
    second = run_loop(spec, folder=tmp_path / "cut")
    assert first.losses + second.losses == whole.losses
    assert tokens_of(second) == tokens_of(whole)


def test_an_epoch_of_shared_rows_trains_on_every_token(run_loop: Run) -> None:
    trained = run_loop(a_spec(packing=256, batch_size=1, epochs=2, max_iterations=None))
    assert tokens_of(trained) == 2 * sum(range(8, 60))
    assert trained.losses[-1] < trained.losses[0]


def tokens_of(trained: Trained) -> object:
    return trained.ending.values["trained_tokens"]


def test_a_run_says_how_its_sequences_are_laid_out_and_why_not_in_shared_rows(
    workspace: Workspace, tiny_model: Path, hub_cache: Path
) -> None:
    counting = workspace.root / "models" / "base" / "counting"
    shutil.copytree(tiny_model, counting)
    values: dict[str, object] = REFUSED["gpt2"][0] | {"model_type": "gpt2", "vocab_size": 512}
    (counting / "config.json").write_text(json.dumps(SHAPE | values | {"eos_token_id": 0}))
    mx.save_safetensors(
        str(counting / "model.safetensors"), dict(tree_flatten(a_model(**values, name="gpt2").parameters()))
    )
    shared, alone = (trained_job(workspace, name, hub_cache) for name in ("tiny", "counting"))
    assert next(e for e in shared if "packed" in e)["phase"].startswith("36 sequences share ")
    assert "cannot be packed: its losses change" in next(e for e in alone if "packed" in e)["phase"]
    batches = [next(e for e in events if e.get("batches_per_epoch")) for events in (shared, alone)]
    assert all(said["batches_per_epoch"] < 36 / 3 for said in batches)


def trained_job(workspace: Workspace, model: str, hub_cache: Path) -> list[Event]:
    """The events of a run of two iterations with shared rows on the questions."""
    spec = to_dict(a_spec(**ONE_ROW | {"model_name": f"models/base/{model}"}))
    made = {"name": model, "created": datetime(2026, 1, 1), "versions": {}, "base_fingerprint": None}
    run = create_run(workspace, RunKind.IFT, spec=spec, **made)
    folder = run_folder(workspace, run)
    log = EventLog(folder, utc_now)
    assert (
        train(Job(workspace, run, folder, log, hub_cache, control=lambda: "run", clock=utc_now)).type
        == "completed"
    )
    return list(read_events(folder))
