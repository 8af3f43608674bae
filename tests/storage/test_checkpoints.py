"""Checkpoint files: what is listed, what is refused, what is pruned."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import CheckpointNotFound, InvalidAdapter, RunNotFound
from forgellm.storage.checkpoints import (
    checkpoint_path,
    find_checkpoint,
    prune,
    read_checkpoints,
    sha256_of,
    sidecar_path,
    write_sidecar,
)
from forgellm.storage.files import PARTIAL
from forgellm.storage.runs import move_to_trash, run_folder
from forgellm.storage.workspace import Workspace
from tests.storage.folders import new_run

DAMAGE = {
    "sidecar cannot be read": lambda path: path.with_suffix(".json").write_text('{"iteration": 10'),
    "sidecar cannot be read ": lambda path: path.with_suffix(".json").write_text("[]"),
    "sidecar cannot be read  ": lambda path: path.with_suffix(".json").write_text("{}"),
    "does not belong": lambda path: edit(path, iteration=11),
    "is not a loss": lambda path: edit(path, validation_loss="low"),
    "file is missing": lambda path: path.unlink(),
    "bytes instead of": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "bytes instead of ": lambda path: path.write_bytes(b""),
    "not match its hash": lambda path: path.write_bytes(
        bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]
    ),
    "not match its hash ": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "not finite": lambda path: edit(path, finite=False),
    "not finite ": lambda path: path.with_suffix(".json").write_text(
        path.with_suffix(".json")
        .read_text()
        .replace('general_validation_loss": null', 'general_validation_loss": 1e999')
    ),
    "sidecar cannot be read   ": lambda path: edit(path, validation_loss=10**400),
    "sidecar cannot be read    ": lambda path: edit(path, sequence_losses=[[1.0, 10**400], [10**400, 1]]),
}


def edit(path, **values):
    side = path.with_suffix(".json")
    side.write_text(json.dumps({**json.loads(side.read_text()), **values}))


def add(folder, iteration, loss, **values):
    """A checkpoint as the training engine writes one: the weights, then the sidecar."""
    path = checkpoint_path(folder, iteration)
    path.write_bytes(f"weights of {iteration}".encode())
    write_sidecar(
        folder,
        Checkpoint(
            iteration=iteration,
            path=path.name,
            sha256=sha256_of(path),
            size_bytes=path.stat().st_size,
            validation_loss=loss,
            **values,
        ),
    )
    return path


@pytest.fixture
def folder(tmp_path):
    place = Workspace.open(tmp_path)
    return run_folder(place, new_run(place, name="mine"))


def test_a_checkpoint_is_numbered_and_has_a_sidecar_of_the_same_name(folder):
    assert checkpoint_path(folder, 300).name == "0000300_adapters.safetensors"
    assert sidecar_path(folder, 300).name == "0000300_adapters.json"
    assert checkpoint_path(folder, 12_345_678).name == "12345678_adapters.safetensors"


def test_what_was_measured_comes_back_as_it_was(folder):
    add(folder, 10, 2.5, general_validation_loss=3.5, sequence_losses=((12.5, 5), (2.5, 1)))
    (found,) = read_checkpoints(folder)
    assert (found.iteration, found.rank, found.problem) == (10, 1, None)
    assert (found.validation_loss, found.general_validation_loss) == (2.5, 3.5)
    assert found.sequence_losses == ((12.5, 5), (2.5, 1))
    assert found.path == "models/cpt/mine/0000010_adapters.safetensors"
    assert find_checkpoint(folder, 10).sha256 == found.sha256


def test_checkpoints_are_ranked_by_validation_loss(folder):
    for iteration, loss in ((10, 2.5), (20, 2.0), (30, 2.2), (12_345_678, 2.1)):
        add(folder, iteration, loss)
    assert [c.iteration for c in read_checkpoints(folder)] == [20, 12_345_678, 30, 10]


def test_other_files_of_the_run_are_no_checkpoints(folder):
    for name in ("adapters.safetensors", "adapter_config.json", f"{PARTIAL}1-1-0000010_adapters.safetensors"):
        (folder / name).write_bytes(b"x")
    assert read_checkpoints(folder) == []


def test_weights_without_a_sidecar_are_what_a_kill_left_and_no_checkpoint(folder):
    add(folder, 10, 0.5).with_suffix(".json").unlink()
    assert read_checkpoints(folder) == []
    with pytest.raises(CheckpointNotFound):
        find_checkpoint(folder, 10)


@pytest.mark.parametrize("problem", DAMAGE)
def test_a_damaged_checkpoint_is_listed_with_its_problem_and_never_ranked(folder, problem):
    damaged = add(folder, 10, 0.5)
    add(folder, 20, 2.0)
    DAMAGE[problem](damaged)
    best, bad = read_checkpoints(folder)
    assert (best.iteration, best.rank, best.problem) == (20, 1, None)
    assert (bad.iteration, bad.rank) == (10, None)
    assert problem.strip() in bad.problem
    with pytest.raises(InvalidAdapter) as caught:
        find_checkpoint(folder, 10)
    assert problem.strip() in caught.value.message
    assert find_checkpoint(folder, 20).iteration == 20


def test_a_file_that_looks_the_same_is_hashed_once_and_one_that_changed_anew(folder):
    path = add(folder, 10, 0.5)
    (good,) = read_checkpoints(folder)
    assert good.problem is None
    before, data = path.stat(), path.read_bytes()
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # As a bit that flips on the disk: seen by whoever is about to use it, though not by a list.
    assert read_checkpoints(folder) == [good]
    with pytest.raises(InvalidAdapter, match="does not match its hash"):
        find_checkpoint(folder, 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert "not match its hash" in read_checkpoints(folder)[0].problem
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 2))
    assert read_checkpoints(folder) == [good]
    other = path.with_name("other")
    other.write_bytes(bytes(len(data)))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns + 2))
    os.replace(other, path)
    assert "not match its hash" in read_checkpoints(folder)[0].problem


def test_a_quick_look_does_not_hash_but_still_sees_the_size(folder):
    path = add(folder, 10, 0.5)
    path.write_bytes(bytes(path.stat().st_size))
    assert read_checkpoints(folder, verify=False)[0].problem is None
    path.write_bytes(b"")
    assert "bytes instead of" in read_checkpoints(folder, verify=False)[0].problem


def test_a_checkpoint_that_is_not_there_is_refused_with_what_there_is(folder):
    with pytest.raises(CheckpointNotFound):
        find_checkpoint(folder, 10)
    add(folder, 10, 2.0)
    add(folder, 20, 2.0)
    with pytest.raises(CheckpointNotFound) as caught:
        find_checkpoint(folder, 15)
    assert caught.value.details["available"] == [10, 20]
    assert "10, 20" in caught.value.suggestion


def test_pruning_keeps_the_best_three_and_the_newest_and_leaves_no_sidecar_behind(folder):
    losses = {10: 2.0, 20: 2.6, 30: 2.1, 40: 2.7, 50: 2.2, 60: 2.8, 70: 2.9}
    for iteration, loss in losses.items():
        add(folder, iteration, loss)
    assert prune(folder, None) == []
    assert sorted(prune(folder, 2)) == [20, 40, 60]
    assert [c.iteration for c in read_checkpoints(folder)] == [10, 30, 50, 70]
    assert len(list(folder.glob("*_adapters.*"))) == 8
    assert prune(folder, 2) == []


def test_a_hash_is_that_of_the_whole_file(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "big").write_bytes(data)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(data).hexdigest()


def test_the_checkpoints_of_a_run_that_was_thrown_away_meanwhile_are_not_found(tmp_path):
    place = Workspace.open(tmp_path)
    run = new_run(place)
    move_to_trash(place, run)
    with pytest.raises(RunNotFound, match="deleted or moved"):
        read_checkpoints(run_folder(place, run))
    with pytest.raises(RunNotFound, match="deleted or moved"):
        find_checkpoint(run_folder(place, run), 10)
