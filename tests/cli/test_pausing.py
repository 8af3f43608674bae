"""What Ctrl-C on the servers does to the runs of their workspace."""

import io
from contextlib import redirect_stdout

import pytest

from forgellm.cli.follow import Follower
from forgellm.cli.pausing import pause_training
from forgellm.forge import Forge
from forgellm.jobs.launcher import launch
from forgellm.settings import Settings
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace
from tests.jobs.sample_worker import COMMAND, end_all, wait_for_event
from tests.storage.folders import RunKind, new_run


@pytest.fixture
def forge(tmp_path):
    forge = Forge(Settings(workspace=tmp_path, hub_cache=tmp_path / "hub"))
    yield forge
    end_all(forge.workspace)


def begin(workspace: Workspace, environment, *, kind=RunKind.CPT):
    """The folder of a run that goes on until it is told otherwise."""
    run = new_run(workspace, kind, spec={"act": "obey"})
    launch(workspace, run, environment=environment, command=COMMAND)
    wait_for_event(run_folder(workspace, run), "phase")
    return run


def test_where_nothing_trains_there_is_nothing_to_say(forge, capsys):
    pause_training(forge)
    assert capsys.readouterr().out == ""


def test_without_a_terminal_the_run_that_trains_is_paused_unasked(forge, worker_environment, capsys):
    run = begin(forge.workspace, worker_environment)
    pause_training(forge)
    assert state(run_folder(forge.workspace, run)).value == "paused"
    said = capsys.readouterr().out
    assert f"Pausing {run.id}" in said
    assert f"`forgellm runs resume {run.id}`" in said


def test_what_waits_behind_the_paused_run_does_not_go_on_training(forge, worker_environment):
    first = begin(forge.workspace, worker_environment)
    queued = [new_run(forge.workspace, RunKind.CPT, spec={"act": "obey"}) for _ in range(2)]
    pause_training(forge)
    states = [state(run_folder(forge.workspace, run)).value for run in (first, *queued)]
    assert states == ["paused"] * 3


def test_a_run_that_does_not_train_goes_on_to_its_end(forge, worker_environment):
    run = begin(forge.workspace, worker_environment, kind=RunKind.PUBLISH)
    pause_training(forge)
    assert state(run_folder(forge.workspace, run)).value == "running"


class _Impatient(io.StringIO):
    """Somebody who presses Ctrl-C at every word."""

    def write(self, text):
        super().write(text)
        # Click tries with none what it can write to.
        if text:
            raise KeyboardInterrupt


def test_a_second_ctrl_c_while_a_run_is_told_to_pause_leaves_it_to_that(forge, worker_environment):
    run = begin(forge.workspace, worker_environment)
    with redirect_stdout(_Impatient()) as said:
        Follower(forge, run, ()).follow()
    assert f"Pausing {run.id}" in said.getvalue()
    wait_for_event(run_folder(forge.workspace, run), "paused")
