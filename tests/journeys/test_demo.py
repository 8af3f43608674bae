"""The built-in main job, from an empty workspace to measured answers; the longest of all tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forgellm.domain.runs import RunKind, RunState
from forgellm.services.demo import DOMAIN
from forgellm.storage.events import read_events
from forgellm.storage.liveness import state
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace


@pytest.mark.timeout(1500)
def test_the_demo_ends_with_a_gain_that_was_measured(
    tmp_path: Path, worker_environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forgellm", "demo", "--quick"],
        cwd=tmp_path,
        env=worker_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    workspace = Workspace.open(tmp_path)
    runs = list_runs(workspace)
    folders = [run_folder(workspace, run) for run in runs]
    assert [run.kind for run in runs] == [
        RunKind.EVALUATE,
        RunKind.CPT,
        RunKind.PUBLISH,
        RunKind.IFT,
        RunKind.PUBLISH,
        RunKind.EVALUATE,
    ]
    assert {state(folder) for folder in folders} == {RunState.COMPLETED}
    before, cpt, published, ift, answering, after = (read_events(folder) for folder in folders)

    for training in (cpt, ift):
        losses: list[float] = [e["validation_loss"] for e in training if e["type"] == "validation"]  # type: ignore[misc]
        assert min(losses) < 0.5 * losses[0]
    for publishing in (published, answering):
        end: Mapping[str, Any] = publishing[-1]
        assert end["published_validation_loss"] == pytest.approx(end["checkpoint_validation_loss"], abs=1e-5)
        assert (tmp_path / end["readme_path"]).is_file()
        assert (tmp_path / end["dashboard_path"]).is_file()

    first, last = before[-1], after[-1]
    assert first["count"] == last["count"] == 198
    # 38 % are right where this was measured, 85 % after the whole demo; other processors round differently.
    assert first["exact_match"] < 0.05 < 0.15 < last["exact_match"]  # type: ignore[operator]
    assert f"{last['correct']} of 198 answers are exactly right" in done.stdout
    assert f"forgellm cli generate --model {answering[-1]['published_model_path']}" in done.stdout
    questions = (workspace.datasets / f"{DOMAIN}_questions" / "heldout.jsonl").read_text().splitlines()
    kept = folders[-1] / "answers.jsonl"
    asked = [json.loads(line)["question"] for line in kept.read_text().splitlines()]
    assert asked == [json.loads(line)["messages"][0]["content"] for line in questions]
