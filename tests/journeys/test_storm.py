"""The kill storm in its short form, and that its examination sees what it is there to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from forgellm.storage.checkpoints import checkpoint_path
from forgellm.storage.events import events_path
from scripts.run_inspection import differences, violations
from tests.conftest import CHECKOUT

STORM = CHECKOUT / "scripts" / "kill_storm.py"


def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    workspace, worker_environment, tmp_path
):
    options = ["--kills", "6", "--seed", "20250115", "--model", workspace.base_models / "tiny"]
    options += ["--dataset", workspace.datasets / "domain"]
    storm = subprocess.run(
        [sys.executable, STORM, *options],
        env={**worker_environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
    table = dict(line.strip().split("  ", 1) for line in storm.stdout.splitlines() if "  " in line.strip())
    assert table["kills"].strip() == "6"
    assert table["before the first state"].strip() != "0"
    assert "140 training_loss" in table["compared bit for bit"]
    assert storm.stdout.endswith("everything held\n")


@pytest.fixture
def folder(finished):
    """Of a finished run with checkpoints at 2, 4 and 6."""
    _, made = finished(max_iterations=6, save_every=2)
    assert violations(made) == []
    return made


def test_the_examination_sees_a_flipped_bit_and_a_lost_event(folder):
    path = checkpoint_path(folder, 4)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    lines = events_path(folder).read_bytes().splitlines(keepends=True)
    events_path(folder).write_bytes(b"".join(lines[:5] + lines[6:]))
    damaged, gap = violations(folder)
    assert "checkpoint 4" in damaged
    assert "events" in gap


def test_the_examination_sees_weights_that_are_not_what_the_sidecar_says(folder):
    best = folder / "adapters.safetensors"
    best.unlink()
    best.write_bytes(b"half a file")
    (found,) = violations(folder)
    assert "does not load" in found


def test_the_comparison_sees_the_last_digit_of_a_loss(folder, tmp_path):
    other = tmp_path / "other" / "models" / "cpt" / "run"
    other.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file():
            os.link(path, other / path.name)
    assert differences(folder, other) == []
    records = [json.loads(line) for line in events_path(folder).read_text().splitlines()]
    last = next(record for record in reversed(records) if record["type"] == "train")
    last["training_loss"] *= 1 + 2**-52
    events_path(other).unlink()
    events_path(other).write_text("".join(json.dumps(record) + "\n" for record in records))
    assert differences(folder, other) == ["training_loss differs"]
