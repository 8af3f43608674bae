"""Runs side by side, their answers and labels, on the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from forgellm.cli.fields import given
from forgellm.cli.main import main
from forgellm.cli.wording import event_line
from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.forge import local_time
from forgellm.storage.events import EventLog
from forgellm.storage.runs import create_run, run_folder

SPEC = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}


@pytest.fixture
def two(workspace):
    """Two runs that nobody started."""
    return [
        create_run(
            workspace,
            RunKind.CPT,
            spec=to_dict(parse_spec({**SPEC, "learning_rate": rate})),
            name=None,
            created=local_time(),
            versions={},
            base_fingerprint=None,
        )
        for rate in (1e-4, 1e-3)
    ]


def shown(workspace, *arguments):
    done = CliRunner().invoke(main, ["--workspace", str(workspace.root), "runs", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_runs_are_compared_in_a_table_with_what_differs(workspace, two):
    code, out, err = shown(workspace, "compare", two[0].id, "2")
    assert code == 0
    assert all(run.id in out for run in two)
    assert "learning_rate: 0.0001 | 0.001" in out
    assert "no validation set yet" in err


def test_answers_are_printed_without_what_a_terminal_would_obey(workspace, two):
    log = EventLog(run_folder(workspace, two[0]), local_time)
    event = log.append("sample", iteration=20, prompt="Why?", text="Be\x1b[31mcause\n", finished=False)
    _, out, _ = shown(workspace, "samples", "1")
    assert out.splitlines() == ["Why?", "      20  Be\\x1b[31mcause\\n …"]
    assert event_line(event) == "iteration 20: Why? → Be\\x1b[31mcause"


def test_a_run_that_was_cut_off_says_how_it_goes_on(workspace, two):
    EventLog(run_folder(workspace, two[0]), local_time).append("started", resume=False)
    _, out, _ = shown(workspace, "show", "1")
    assert "interrupted" in out
    assert f"`forgellm runs resume {two[0].id}` goes on from the last saved state." in out


def test_where_there_is_nothing_to_print_it_is_said_what_would_bring_it(workspace, two):
    for command, said in (("samples", "--sample-prompts"), ("log", f"`forgellm runs follow {two[0].id}`")):
        code, out, err = shown(workspace, command, "1")
        assert (code, out) == (0, "")
        assert said in err


def test_a_run_is_labelled_and_says_so(workspace, two):
    assert shown(workspace, "label", "1", "--name", "First", "--tags", "a, b")[1] == "First  a, b\n"
    assert shown(workspace, "label", "1", "--notes", "x")[1] == "First  a, b\n"
    code, _, err = shown(workspace, "label", "1")
    assert (code, "Give --name" in err) == (2, True)
    out = shown(workspace, "show", "1")[1]
    assert [line.split()[:2] for line in out.splitlines()[1:4]] == [
        ["name", "First"],
        ["tags", "a,"],
        ["notes", "x"],
    ]
    assert json.loads(shown(workspace, "show", "1", "--json")[1])["tags"] == ["a", "b"]


def test_a_run_in_the_queue_is_moved_to_where_it_is_wanted(workspace, two):
    first, second = two
    assert shown(workspace, "move", "2")[1] == f"Run {second.id} is next\n"
    assert shown(workspace, "move", "2", "--after", "1")[1] == f"Run {second.id} starts after {first.id}\n"
    assert shown(workspace, "move", "2", "--before", "2")[0] == 2


def test_sample_prompts_are_options_given_several_times():
    assert given({"sample_prompts": ("One, two", "three")}) == {"sample_prompts": ["One, two", "three"]}
    assert given({"sample_prompts": ()}) == {}
    assert given({"sample_prompts": ("none",)}) == {"sample_prompts": []}
