"""Runs as a person has them from the command line, on the tiny model and with real processes."""

import json
import os
import pty
import resource
import signal
import subprocess

import pytest

from tests.cli.conftest import COMMAND, SHORT_CPT, heed_interrupts, read_until

LONG = [*SHORT_CPT, "--max-iterations", "100000", "--save-every", "100000", "--eval-every", "10"]


def test_train_then_look_at_the_run_and_its_ranking(forgellm, workspace):
    trained = forgellm(
        *SHORT_CPT, "--max-iterations", "20", "--save-every", "10", "--general-dataset", "general"
    )
    assert trained.returncode == 0, trained.stderr
    assert "max_iterations: 20\n" in trained.stdout
    assert "iteration 0: validation loss" in trained.stdout

    (run,) = json.loads(forgellm("runs", "--json").stdout)
    assert (run["state"], run["iteration"], run["number"], run["progress"]) == ("completed", 20, 1, 1.0)
    assert f"`forgellm publish {run['id']}` publishes the best." in trained.stdout

    ranking = json.loads(forgellm("checkpoints", "1", "--json").stdout)
    losses = [c["validation_loss"] for c in ranking["checkpoints"]]
    assert losses == sorted(losses)
    assert run["best_checkpoints"] == [c["iteration"] for c in ranking["checkpoints"]]
    assert all(
        (workspace.root / c["path"]).is_file() and c["standard_error"] > 0 for c in ranking["checkpoints"]
    )
    assert f"{losses[0]:.4f}" in forgellm("runs").stdout
    shown = forgellm("runs", "show", run["folder"]).stdout
    assert "learning_rate    0.001" in shown
    assert all(column in shown for column in ("general loss", "size", "file"))


def test_ctrl_c_without_a_terminal_pauses_and_resume_goes_on_from_there(forgellm, started, workspace):
    following = started(*SHORT_CPT, "--max-iterations", "150", "--save-every", "150", "--eval-every", "10")
    read_until(following, "iteration 10: validation loss")
    following.send_signal(signal.SIGINT)
    rest = following.stdout.read()
    assert following.wait() == 0, rest
    assert "Paused at iteration" in rest
    assert "`forgellm runs resume" in rest
    (paused,) = json.loads(forgellm("runs", "--json").stdout)
    assert paused["state"] == "paused"

    resumed = forgellm("runs", "resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"Resumed at iteration {paused['iteration']}" in resumed.stdout
    assert "iteration 10: validation loss" not in resumed.stdout
    assert "0000150_adapters.safetensors" in resumed.stdout


def test_a_second_start_is_refused_and_a_queued_one_waits_for_its_turn(forgellm, started):
    first = started(*LONG)
    read_until(first, "iteration 0: validation loss")
    refused = forgellm(*SHORT_CPT, "--max-iterations", "4")
    assert refused.returncode == 2
    assert "is running" in refused.stderr
    assert "--queue" in refused.stderr

    second = started(*SHORT_CPT, "--max-iterations", "4", "--queue")
    read_until(second, "number 2")
    stopped = forgellm("runs", "stop", "1")
    assert (stopped.returncode, "Stopped at iteration" in stopped.stdout) == (0, True)
    assert "Completed" in second.stdout.read()
    assert second.wait() == 0
    first.stdout.read()
    assert first.wait() == 0
    assert [run["state"] for run in json.loads(forgellm("runs", "--json").stdout)] == ["stopped", "completed"]


def test_a_detached_run_is_paused_deleted_and_restored_by_name(forgellm):
    detached = forgellm(*LONG, "--detach")
    assert detached.returncode == 0, detached.stderr
    (run,) = json.loads(forgellm("runs", "--json").stdout)
    refused = forgellm("runs", "delete", run["id"], "--yes")
    assert refused.returncode == 2
    assert "is running" in refused.stderr
    paused = forgellm("runs", "pause")
    assert paused.returncode == 0, paused.stderr
    unasked = forgellm("runs", "delete", "1")
    assert (unasked.returncode, "--yes is needed" in unasked.stderr) == (2, True)
    assert forgellm("runs", "delete", "1", "--yes").returncode == 0
    assert forgellm("runs").stdout == "No runs. `forgellm train` starts one.\n"
    assert forgellm("runs", "restore", run["id"]).returncode == 0
    assert json.loads(forgellm("runs", "show", "--json").stdout)["state"] == "paused"


def test_a_run_that_fails_says_why_and_ends_the_command_with_1(forgellm):
    failed = forgellm(
        *SHORT_CPT, "--max-iterations", "20", "--learning-rate", "1e30", "--max-grad-norm", "none"
    )
    assert failed.returncode == 1
    assert "(DIVERGED)" in failed.stderr
    assert "What to do:" in failed.stderr
    shown = json.loads(forgellm("runs", "show", "--json").stdout)
    assert (shown["state"], shown["failure"]["code"]) == ("failed", "DIVERGED")


def test_a_worker_that_is_killed_leaves_a_run_that_can_be_resumed(forgellm, started, workspace):
    following = started(*LONG)
    read_until(following, "iteration 10: validation loss")
    (run,) = json.loads(forgellm("runs", "--json").stdout)
    os.kill(int((workspace.root / run["folder"] / "lock").read_text()), signal.SIGKILL)
    assert "`forgellm runs resume" in following.stdout.read()
    assert following.wait() == 1
    assert json.loads(forgellm("runs", "show", "--json").stdout)["state"] == "interrupted"


def test_a_full_disk_is_named_before_a_run_is_created(forgellm):
    refused = forgellm(*SHORT_CPT, preexec_fn=_no_file_may_grow)
    assert refused.returncode == 1
    assert "the disk, a quota or a size limit is full" in refused.stderr
    assert json.loads(forgellm("runs", "--json").stdout) == []


def test_bad_rows_are_listed_and_no_run_is_created(forgellm, workspace):
    rows = workspace.datasets / "questions" / "train.jsonl"
    rows.write_text(rows.read_text() + '{"prompt": "Where?"}\n' + '{"prompt": \n')
    refused = forgellm(*SHORT_CPT[:3], "--training-type", "ift", "--dataset", "questions")
    assert refused.returncode == 2
    assert "\n  questions/train.jsonl:41: " in refused.stderr
    assert "\n  questions/train.jsonl:42: " in refused.stderr
    assert json.loads(forgellm("runs", "--json").stdout) == []


@pytest.mark.parametrize(("answer", "state"), [(b"\n", "paused"), (b"stop\n", "stopped")])
def test_on_a_terminal_ctrl_c_asks_and_does_what_is_answered(
    answer, state, forgellm, workspace, worker_environment
):
    parent, child = pty.openpty()
    environment = {**worker_environment, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, *LONG],
        cwd=workspace.root,
        env=environment,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    os.close(child)
    shown = _read_terminal(parent, b"iteration 20: validation loss")
    assert b"/100000" in shown
    assert b"tokens/s" in shown
    process.send_signal(signal.SIGINT)
    _read_terminal(parent, b"[pause]")
    os.write(parent, answer)
    _read_terminal(parent, b"publish" if state == "stopped" else b"goes on from here")
    assert process.wait() == 0
    os.close(parent)
    assert json.loads(forgellm("runs", "show", "--json").stdout)["state"] == state


def _read_terminal(descriptor: int, words: bytes) -> bytes:
    """What the terminal shows up to `words`; fails where the program ends before."""
    shown = b""
    while words not in shown:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            # Linux answers so when the last process has closed the terminal.
            piece = b""
        if not piece:
            pytest.fail(f"{words!r} was not shown:\n{shown.decode(errors='replace')}")
        shown += piece
    return shown


def _no_file_may_grow() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
