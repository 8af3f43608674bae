"""DPO is what its paper defines: loss, gradient, rewards, a reference that is measured once, exact resume."""

from __future__ import annotations

import math
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences, join
from forgellm.domain.errors import InvalidField, ResumeMismatch
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import attach, load_base
from forgellm.training.batches import Cursor
from forgellm.training.dpo import Preferences, pair_batch, preference_loss
from forgellm.training.objective_of import objective_of, order_of
from forgellm.training.reference import FILE, Reference, measure_reference, read_reference
from tests.training.loops import Run, Trained, a_spec

BETA = 0.3
SHORT: dict[str, object] = {
    "training_type": "ift",
    "objective": "dpo",
    "dpo_beta": BETA,
    "batch_size": 3,
    "max_iterations": 6,
    "save_every": 3,
    "eval_every": 2,
}


def pairs(count: int, seed: int) -> Sequences:
    """Pairs with a common beginning of 4 tokens, then two answers of different lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        asked = rng.integers(5, 400, 4)
        for _ in range(2):
            ids = np.concatenate([asked, rng.integers(5, 400, rng.integers(3, 14))]).astype(np.int32)
            rows.append((ids, np.arange(len(ids)) >= 4))
    return join(rows)


TRAIN, VALID = pairs(10, 1), pairs(4, 2)
CORPUS = Corpus(TRAIN, VALID, None, "corpus", {})


def adapted(base: Path, *, change: float = 0.05) -> nn.Module:
    """The base with an adapter that says something."""
    model, _ = load_base(base)
    mx.random.seed(0)
    attach(model, config_of(a_spec(**SHORT)))
    moved = [
        (name, value + change * mx.random.normal(value.shape, key=mx.random.key(n)))
        for n, (name, value) in enumerate(tree_flatten(model.trainable_parameters()))
    ]
    model.load_weights(moved, strict=False)
    return model


def log_softmax_by_hand(model: nn.Module, ids: np.ndarray, learned: np.ndarray) -> float:
    """log p of the learned tokens of one sequence, alone and unpadded, from the logits in float64."""
    logits = np.array(model(mx.array(ids[None, :])), np.float64)[0]
    total = 0.0
    for place in range(1, len(ids)):
        if learned[place]:
            row = logits[place - 1]
            total += row[ids[place]] - row.max() - math.log(np.exp(row - row.max()).sum())
    return total


def dpo_by_hand(model: nn.Module, base: nn.Module, rows: Sequences, chosen: list[int]) -> dict[str, float]:
    """Equation 7 of the paper, pair by pair."""
    losses, margins, wins = [], [], []
    for pair in chosen:
        win, loss = (
            BETA * (log_softmax_by_hand(model, *rows[n]) - log_softmax_by_hand(base, *rows[n]))
            for n in (2 * pair, 2 * pair + 1)
        )
        losses.append(-math.log(1.0 / (1.0 + math.exp(loss - win))))
        margins.append(win - loss)
        wins.append(win)
    return {
        "loss": float(np.mean(losses)),
        "reward_margin": float(np.mean(margins)),
        "reward_accuracy": float(np.mean(np.array(margins) > 0)),
        "chosen_reward": float(np.mean(wins)),
        "rejected_reward": float(np.mean(wins) - np.mean(margins)),
    }


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> nn.Module:
    return load_base(tiny_model)[0]


@pytest.fixture(scope="module")
def known(base: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What the base gives to every row."""
    folder, spec = tmp_path_factory.mktemp("reference"), a_spec(**SHORT)
    order = order_of(spec, CORPUS)
    measure_reference(folder, base, CORPUS, order=order, batches=4, rows=3, attend=lambda: None)
    return read_reference(folder, CORPUS)


def test_loss_and_rewards_are_those_of_the_paper(tiny_model: Path, base: nn.Module, known: Reference) -> None:
    model, chosen = adapted(tiny_model), [7, 2]
    # Three rows of pairs for two: the third is none.
    batch = pair_batch(TRAIN, np.array(chosen), 20, rows=3, reference=known.train)
    loss, metrics = preference_loss(model, *batch.arrays, mx.array(1.0 / batch.targets), beta=BETA)
    expected = dpo_by_hand(model, base, TRAIN, chosen)
    assert loss.item() == pytest.approx(expected.pop("loss"), abs=1e-5)
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(expected, abs=1e-4)
    assert abs(expected["reward_margin"]) > 0.05


def test_the_validation_is_the_same_formula(tiny_model: Path, base: nn.Module, known: Reference) -> None:
    model = adapted(tiny_model)
    found = Preferences(CORPUS, known, BETA).measure(model)
    expected = dpo_by_hand(model, base, VALID, [0, 1, 2, 3])
    assert found.loss == pytest.approx(expected.pop("loss"), abs=1e-5)
    assert dict(found.metrics) == pytest.approx(expected, abs=1e-4)
    assert found.tokens == int(VALID.learned.sum())
    assert [weight for _, weight in found.sequence_losses] == [1] * 4


def test_the_gradient_is_the_slope_of_the_loss(tiny_model: Path, known: Reference) -> None:
    model = adapted(tiny_model)
    batch = pair_batch(TRAIN, np.array([0, 5, 8]), 20, rows=3, reference=known.train)

    def loss(model: nn.Module) -> mx.array:
        return preference_loss(model, *batch.arrays, mx.array(1.0 / 3), beta=BETA)[0]

    layer = model.layers[1].self_attn.v_proj
    _, gradients = nn.value_and_grad(model, loss)(model)
    slope = gradients["model"]["layers"][1]["self_attn"]["v_proj"]["lora_b"]
    place = np.unravel_index(np.abs(np.array(slope)).argmax(), slope.shape)
    original, step, measured = layer.lora_b, 2e-2, []
    for sign in (1.0, -1.0):
        change = np.zeros(slope.shape, np.float32)
        change[place] = sign * step
        layer.lora_b = original + mx.array(change)
        measured.append(loss(model).item())
    assert (measured[0] - measured[1]) / (2 * step) == pytest.approx(np.array(slope)[place], rel=0.02)


def test_a_run_begins_at_log_two_and_learns_to_prefer_what_was_chosen(run_loop: Run) -> None:
    spec = a_spec(**SHORT | {"learning_rate": 5e-3, "max_iterations": 20, "save_every": 10})
    trained = run_loop(spec, train=TRAIN, valid=TRAIN)
    first = next(e for e in trained.recorder.events if e["type"] == "validation")
    assert first["validation_loss"] == pytest.approx(math.log(2), abs=1e-12)
    assert (first["validation_reward_margin"], first["validation_reward_accuracy"]) == (0.0, 0.0)
    assert (first["validation_pairs"], first["perplexity"]) == (10, None)
    steps = [e for e in trained.recorder.events if e["type"] == "train"]
    assert steps[0]["training_loss"] == pytest.approx(math.log(2), abs=1e-5)
    found = trained.recorder.values("validation", "validation_loss")[-1]
    assert found < 0.5
    assert trained.recorder.values("validation", "validation_reward_accuracy")[-1] == 1.0
    assert steps[-1]["reward_margin"] == pytest.approx(
        steps[-1]["chosen_reward"] - steps[-1]["rejected_reward"], abs=1e-4
    )
    assert trained.ending.values["best_checkpoints"][0] == 20


def events_of(trained: Trained) -> list[tuple[object, ...]]:
    names = ("training_loss", "reward_margin", "reward_accuracy", "chosen_reward", "rejected_reward")
    return [
        tuple(event[name] for name in names) for event in trained.recorder.events if event["type"] == "train"
    ]


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_a_paused_run_continues_bit_for_bit(run_loop: Run, tmp_path: Path, compiled: bool) -> None:
    spec = a_spec(**SHORT | {"grad_accumulation_steps": 2, "lora_dropout": 0.1})
    data = {"train": TRAIN, "valid": VALID, "compiled": compiled}
    whole = run_loop(spec, folder=tmp_path / "whole", **data)
    first = run_loop(spec, folder=tmp_path / "cut", commands={4: "pause"}, **data)
    second = run_loop(spec, folder=tmp_path / "cut", **data)
    assert events_of(first) + events_of(second) == events_of(whole)
    name = "0000006_adapters.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_it_stops_early_by_its_own_validation_loss(run_loop: Run) -> None:
    spec = a_spec(**SHORT | {"early_stopping_patience": 1, "learning_rate": 1e-12, "max_iterations": 40})
    ended = run_loop(spec, train=TRAIN, valid=VALID).ending
    assert ended.type == "early_stopped"
    assert "no improvement" in str(ended.values["reason"])


def test_only_the_pairs_that_the_run_comes_by_are_measured_and_an_interruption_loses_none(
    base: nn.Module, tmp_path: Path
) -> None:
    order = order_of(a_spec(**SHORT), CORPUS)
    taken = [next(order.from_cursor(Cursor(0, n)))[1] for n in range(2)]
    asked: list[int] = []

    def attend() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise InterruptedError

    options = {"order": order, "batches": 2, "rows": 3, "attend": attend}
    with pytest.raises(InterruptedError):
        measure_reference(tmp_path, base, CORPUS, **options)
    with pytest.raises(ResumeMismatch, match=FILE):
        read_reference(tmp_path, CORPUS)
    measure_reference(tmp_path, base, CORPUS, **options)
    found = read_reference(tmp_path, CORPUS)
    measured = np.flatnonzero(~np.isnan(found.train[::2]))
    assert set(measured) == set(np.concatenate(taken))
    assert len(asked) == 2 + 2
    for pair in measured[:2]:
        expected = log_softmax_by_hand(base, *TRAIN[2 * pair])
        assert found.train[2 * pair] == pytest.approx(expected, abs=1e-4)


def test_the_reference_of_another_corpus_is_not_taken(base: nn.Module, tmp_path: Path) -> None:
    other, spec = Corpus(TRAIN, VALID, None, "another", {}), a_spec(**SHORT)
    order = order_of(spec, CORPUS)
    measure_reference(tmp_path, base, CORPUS, order=order, batches=1, rows=3, attend=lambda: None)
    with pytest.raises(ResumeMismatch, match="missing or belongs"):
        objective_of(spec, other, tmp_path)


@pytest.mark.parametrize(("field", "value"), [("training_type", "cpt"), ("data_mixture_ratio", 0.5)])
def test_what_does_not_go_with_it_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidField, match=f"objective dpo does not go with {field}"):
        a_spec(**SHORT | {field: value})
