"""What a training loop does between its first and last iteration."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from forgellm.domain.errors import Diverged
from forgellm.storage.adapters import config_of as adapter_of
from forgellm.storage.adapters import read_config, write_config
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.training.adapters import load_adapter, load_base, trainable_weights
from forgellm.training.losses import measure
from tests.training.loops import Run, a_spec, random_sequences


def test_it_validates_at_iteration_0_and_on_every_checkpoint(run_loop: Run) -> None:
    trained = run_loop(a_spec(max_iterations=10, save_every=4, eval_every=3))
    assert trained.recorder.values("validation", "iteration") == [0, 3, 4, 6, 8, 9, 10]
    assert trained.recorder.values("checkpoint", "iteration") == [4, 8, 10]
    assert trained.ending.type == "completed"
    assert all(seconds > 0 for seconds in trained.recorder.values("validation", "validation_seconds"))


def test_each_checkpoint_has_the_loss_of_exactly_its_weights(
    run_loop: Run, tiny_model: Path, tmp_path: Path
) -> None:
    spec = a_spec(max_iterations=8, save_every=4)
    run_loop(spec, folder=tmp_path)
    write_config(tmp_path, adapter_of(spec))
    checkpoints = read_checkpoints(tmp_path)
    assert {c.iteration for c in checkpoints} == {4, 8}
    for checkpoint in checkpoints:
        assert checkpoint.problem is None
        model, _ = load_base(tiny_model)
        path = tmp_path / f"{checkpoint.iteration:07d}_adapters.safetensors"
        load_adapter(model, path, read_config(tmp_path))
        first, second = (measure(model, random_sequences([20, 30, 40], seed=2)) for _ in range(2))
        assert first == second
        assert first.loss == checkpoint.validation_loss


def test_adapters_safetensors_is_the_best_checkpoint(run_loop: Run, tmp_path: Path) -> None:
    run_loop(a_spec(max_iterations=16, learning_rate=0.02), folder=tmp_path)
    best = read_checkpoints(tmp_path)[0]
    expected = (tmp_path / f"{best.iteration:07d}_adapters.safetensors").read_bytes()
    assert (tmp_path / "adapters.safetensors").read_bytes() == expected


def test_a_huge_learning_rate_diverges_and_leaves_no_broken_checkpoint(run_loop: Run, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="iteration") as caught:
        run_loop(a_spec(learning_rate=1e30, save_every=1, eval_every=1), folder=tmp_path)
    assert "learning_rate" in caught.value.suggestion
    assert all(c.problem is None for c in read_checkpoints(tmp_path))


def test_overfitting_ends_the_run_early_and_keeps_the_best(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec(
        max_iterations=60,
        learning_rate=0.005,
        fine_tune_type="full",
        train_also=["embeddings"],
        save_every=5,
        eval_every=5,
        overfitting_threshold=0.05,
    )
    trained = run_loop(spec, folder=tmp_path, train=random_sequences([30] * 4, seed=9, vocabulary=40))
    assert trained.ending.type == "early_stopped"
    assert "above its best" in str(trained.ending.values["reason"])
    losses = trained.recorder.values("validation", "validation_loss")
    assert losses[-1] > min(losses) * 1.05
    assert read_checkpoints(tmp_path)[0].validation_loss == min(losses[1:])


def test_patience_ends_the_run_after_as_many_validations_without_improvement(run_loop: Run) -> None:
    spec = a_spec(
        max_iterations=400,
        learning_rate=1e-9,
        eval_every=2,
        save_every=2,
        early_stopping_patience=3,
        early_stopping_min_delta=0.1,
    )
    trained = run_loop(spec)
    assert trained.ending.type == "early_stopped"
    assert trained.recorder.values("validation", "iteration") == [0, 2, 4, 6]


def test_old_checkpoints_are_pruned_but_never_the_best_three_or_the_newest(
    run_loop: Run, tmp_path: Path
) -> None:
    spec = a_spec(max_iterations=12, save_every=1, eval_every=1, keep_checkpoints=1, learning_rate=0.01)
    run_loop(spec, folder=tmp_path)
    kept = {c.iteration for c in read_checkpoints(tmp_path)}
    assert 12 in kept
    assert 3 <= len(kept) <= 4


def test_accumulated_batches_count_as_one_batch_weighted_by_tokens(run_loop: Run, tmp_path: Path) -> None:
    """Two batches of 4 rows with very different target counts give the update of one batch of 8."""
    sequences = random_sequences([40] * 8, seed=5, learned_share=0.4)
    common = {"max_iterations": 1, "max_grad_norm": None, "fine_tune_type": "full", "learning_rate": 1e-3}
    one = run_loop(a_spec(**common, batch_size=8), folder=tmp_path / "a", train=sequences)
    two = run_loop(
        a_spec(**common, batch_size=4, grad_accumulation_steps=2), folder=tmp_path / "b", train=sequences
    )
    assert one.losses == pytest.approx(two.losses, abs=1e-6)
    loss = one.ending.values["best_checkpoints"], two.ending.values["best_checkpoints"]
    assert loss == ([1], [1])
    a, b = (read_checkpoints(tmp_path / x)[0].validation_loss for x in "ab")
    assert a == pytest.approx(b, abs=1e-5)


def test_a_token_weighs_the_same_in_a_short_batch_and_in_a_long_one(
    run_loop: Run, tiny_model: Path, tmp_path: Path
) -> None:
    """Two small steps, on 10 tokens and on 100, go where one goes on both together that is twice as long."""
    sequences = random_sequences([10, 100], seed=5)
    plain = {"optimizer": "sgd", "weight_decay": 0.0, "lr_schedule": "constant", "max_grad_norm": None}
    common = plain | {"fine_tune_type": "full", "eval_every": 10, "save_every": 10}
    moved = []
    for batch_size, steps, rate in ((1, 2, 1e-3), (2, 1, 2e-3)):
        spec = a_spec(**common, batch_size=batch_size, max_iterations=steps, learning_rate=rate)
        trained = run_loop(spec, folder=tmp_path / str(batch_size), train=sequences)
        moved.append(trainable_weights(trained.model)["model.layers.1.mlp.down_proj.weight"])
    start = load_base(tiny_model)[0].model.layers[1].mlp.down_proj.weight
    one, other = (np.array(weight - start) for weight in moved)
    assert np.abs(one - other).max() <= 0.01 * np.abs(other).max()


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_quantized_base_learns_through_low_rank_factors(
    run_loop: Run, tiny_model_quantized: Path, kind: str
) -> None:
    spec = a_spec(fine_tune_type=kind, max_iterations=6, learning_rate=0.01)
    trained = run_loop(spec, base=tiny_model_quantized, train=random_sequences([30] * 4, seed=9))
    assert trained.losses[-1] < trained.losses[0]


def test_measuring_weighs_by_tokens(tiny_model: Path) -> None:
    model, _ = load_base(tiny_model)
    sequences = random_sequences([10, 100], seed=1, learned_share=0.5)
    measured = measure(model, sequences)
    (a, n), (b, m) = measured.sequence_losses
    assert measured.tokens == n + m == int(sequences.learned.sum())
    assert measured.loss == pytest.approx((a + b) / (n + m))
    by_hand = 0.0
    for i in range(2):
        ids, learned = sequences[i]
        logits = np.array(model(mx.array(ids[None, :-1]))[0])
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        by_hand -= sum(log_p[j, ids[j + 1]] for j in range(len(ids) - 1) if learned[j + 1])
    assert measured.loss == pytest.approx(by_hand / measured.tokens, rel=1e-5)
