"""A paused or killed run goes on bit for bit as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import pytest

from forgellm.domain.errors import InvalidAdapter, ResumeMismatch
from forgellm.training.adapters import trainable_weights
from forgellm.training.state import read_progress
from tests.training.loops import Run, Trained, a_spec

HARD = {"lora_dropout": 0.1, "warmup_steps": 4, "grad_accumulation_steps": 2, "max_iterations": 8}


def same_weights(a: Trained, b: Trained) -> bool:
    ours, theirs = trainable_weights(a.model), trainable_weights(b.model)
    return ours.keys() == theirs.keys() and all(mx.array_equal(ours[k], theirs[k]).item() for k in ours)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adam", "fine_tune_type": "dora"},
        {"optimizer": "muon"},
        {"optimizer": "sgd"},
        {"optimizer": "adafactor", "fine_tune_type": "full", "train_also": ["embeddings", "norms"]},
    ],
    ids=lambda s: str(s["optimizer"]),
)
def test_a_paused_run_continues_bit_for_bit(
    run_loop: Run, tmp_path: Path, settings: dict[str, object], compiled: bool
) -> None:
    spec = a_spec(**HARD | settings)
    whole = run_loop(spec, folder=tmp_path / "whole", compiled=compiled)
    first = run_loop(spec, folder=tmp_path / "cut", commands={5: "pause"}, compiled=compiled)
    assert first.ending.type == "paused"
    second = run_loop(spec, folder=tmp_path / "cut", compiled=compiled)
    assert first.losses + second.losses == whole.losses
    assert same_weights(second, whole)
    assert second.ending.values["trained_tokens"] == whole.ending.values["trained_tokens"]


def test_a_stop_keeps_a_validated_checkpoint_and_the_run_goes_on_from_it(
    run_loop: Run, tmp_path: Path
) -> None:
    spec = a_spec(**HARD, early_stopping_patience=8)
    whole = run_loop(spec, folder=tmp_path / "whole")
    stopped = run_loop(spec, folder=tmp_path / "cut", commands={6: "stop"})
    assert stopped.ending.type == "stopped"
    assert (tmp_path / "cut" / "0000006_adapters.safetensors").exists()
    assert stopped.losses + run_loop(spec, folder=tmp_path / "cut").losses == whole.losses


def test_validating_changes_nothing_about_the_training(run_loop: Run, tmp_path: Path) -> None:
    often = run_loop(a_spec(**HARD, eval_every=1), folder=tmp_path / "often")
    seldom = run_loop(a_spec(**HARD, eval_every=100), folder=tmp_path / "seldom")
    assert often.losses == seldom.losses


def test_a_state_with_a_flipped_bit_is_refused(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec()
    run_loop(spec, folder=tmp_path, commands={5: "pause"})
    state = next((tmp_path / "state").glob("*.safetensors"))
    data = bytearray(state.read_bytes())
    data[-10] ^= 1
    state.write_bytes(data)
    with pytest.raises(ResumeMismatch, match="hash"):
        run_loop(spec, folder=tmp_path)


def test_half_a_state_manifest_is_refused_and_says_what_to_do(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec()
    run_loop(spec, folder=tmp_path, commands={5: "pause"})
    manifest = tmp_path / "state" / "state.json"
    manifest.write_text(manifest.read_text()[:40])
    with pytest.raises(ResumeMismatch) as caught:
        run_loop(spec, folder=tmp_path)
    assert "adapter_path" in caught.value.suggestion


def test_a_state_of_another_corpus_is_refused(run_loop: Run, tmp_path: Path) -> None:
    spec = a_spec()
    run_loop(spec, folder=tmp_path, commands={5: "pause"})
    manifest = tmp_path / "state" / "state.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"corpus": "other"}))
    with pytest.raises(ResumeMismatch, match="corpus changed"):
        run_loop(spec, folder=tmp_path)


def test_a_state_of_another_rank_is_refused(run_loop: Run, tmp_path: Path) -> None:
    run_loop(a_spec(lora_rank=4), folder=tmp_path, commands={5: "pause"})
    with pytest.raises(InvalidAdapter, match="shape"):
        run_loop(a_spec(lora_rank=8), folder=tmp_path)


def test_only_the_newest_state_is_kept(run_loop: Run, tmp_path: Path) -> None:
    run_loop(a_spec(max_iterations=12, save_every=4), folder=tmp_path)
    assert [p.name for p in (tmp_path / "state").glob("*.safetensors")] == ["0000012.safetensors"]
    progress = read_progress(tmp_path)
    assert progress is not None
    assert progress.iteration == 12


def test_saving_an_iteration_again_leaves_the_older_state_whole_until_the_newer_is(
    run_loop: Run, tmp_path: Path
) -> None:
    spec = a_spec()
    run_loop(spec, folder=tmp_path, commands={5: "pause"})
    before = json.loads((tmp_path / "state" / "state.json").read_text())
    again = run_loop(spec, folder=tmp_path, commands={0: "pause"})
    assert again.ending.type == "paused"
    after = json.loads((tmp_path / "state" / "state.json").read_text())
    assert before["iteration"] == after["iteration"] == 5
    assert before["file"] != after["file"]
    assert run_loop(spec, folder=tmp_path).ending.type == "completed"
