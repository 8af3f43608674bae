"""`forgellm train --plan` says what a run will be and take, and starts nothing."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from forgellm.cli.main import main
from forgellm.storage.runs import list_runs

WISH = ["--model-name", "models/base/tiny", "--training-type", "cpt", "--dataset", "domain"]


@pytest.fixture
def plan(workspace):
    def run(*options):
        arguments = ["--workspace", str(workspace.root), "train", *WISH, *options, "--plan"]
        done = CliRunner().invoke(main, arguments)
        assert list_runs(workspace) == []
        return done

    return run


def test_it_says_what_the_run_will_take(plan):
    done = plan("--max-seq-length", "64")
    assert done.exit_code == 0, done.output
    said = {line.split()[0]: line for line in done.output.splitlines()}
    assert "500 iterations" in said["Length"]
    assert "parameters" in said["Learns"]
    assert "at the peak: fits (weights 4" in said["Memory"]
    assert "not known: no finished run here" in said["Time"]


def test_memory_is_that_of_one_of_several_machines_and_says_so(plan):
    alone = plan("--batch-size", "8").output
    shared = plan("--batch-size", "8", "--hosts", "mac1.local,mac2.local").output
    assert "share of every batch" not in alone
    assert "on this machine, for its share of every batch; the other one needs about as much" in shared


def test_it_ends_with_1_where_the_run_cannot_start(plan):
    done = plan("--dataset", "nowhere")
    assert done.exit_code == 1
    assert "Problem: " in done.output


def test_what_does_not_fit_comes_with_the_options_that_make_it_fit(plan, workspace):
    config = workspace.base_models / "tiny" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "max_position_embeddings": 10**7}))
    done = plan("--max-seq-length", "100000", "--batch-size", "2048")
    assert done.exit_code == 0, done.output
    assert "with --batch-size" in done.output
    assert "Warning: training will take about" in done.output
