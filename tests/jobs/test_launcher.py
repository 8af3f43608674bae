"""Launching, queueing, pausing, resuming and stopping, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from forgellm.domain.errors import ForgeError, ReadOnly, RunConflict, RunNotFound
from forgellm.domain.runs import RunState
from forgellm.jobs.launcher import launch, launch_new, launch_next, pause, resume, stop
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import failure, is_alive, lock_path, state
from forgellm.storage.runs import list_runs, move_to_trash, run_folder
from forgellm.storage.workspace import Workspace
from tests.jobs.sample_worker import COMMAND, end_all, is_free, wait_for_end, wait_for_event
from tests.storage.folders import RunKind, new_run, noon


@pytest.fixture
def place(tmp_path):
    workspace = Workspace.open(tmp_path)
    yield workspace
    end_all(workspace)


@pytest.fixture
def options(worker_environment):
    return {"environment": worker_environment, "command": COMMAND}


def add(place, act, kind=RunKind.CPT):
    """A pending run that performs `act`, and its folder."""
    run = new_run(place, kind, spec={"act": act})
    return run, run_folder(place, run)


def outcome(call, *arguments, **options):
    """What a call answers, or the class of the error it raises."""
    try:
        return call(*arguments, **options)
    except ForgeError as error:
        return type(error)


def test_a_launched_run_survives_the_one_who_launched_it(place, worker_environment):
    run, folder = add(place, "obey")
    code = (
        "import sys; from pathlib import Path; from forgellm.jobs.launcher import launch\n"
        "from forgellm.storage.runs import find_run; from forgellm.storage.workspace import Workspace\n"
        "import os; place = Workspace.open(Path(sys.argv[1]))\n"
        "launch(place, find_run(place, sys.argv[2]), environment=os.environ, command=sys.argv[3:])\n"
        "os.killpg(0, 9)\n"
    )
    command = [sys.executable, "-c", code, str(place.root), run.id, *COMMAND]
    ended = subprocess.run(command, env=worker_environment, start_new_session=True)
    assert ended.returncode == -signal.SIGKILL
    wait_for_event(folder, "phase")
    assert state(folder) is RunState.RUNNING


def test_a_run_is_running_from_the_moment_launch_returns(place, options):
    run, folder = add(place, "finish")
    launch(place, run, **options)
    assert read_events(folder)[0]["type"] == "started"
    assert state(folder) in (RunState.RUNNING, RunState.COMPLETED)
    wait_for_end(folder)


def test_a_worker_keeps_its_locks_though_no_thread_can_be_had_to_wait_for_it(place, options):
    run, folder = add(place, "obey")
    before = threading.stack_size(1 << 46)
    try:
        launch(place, run, **options)
    finally:
        threading.stack_size(before)
    wait_for_event(folder, "phase")
    assert is_alive(folder)
    other, _ = add(place, "finish")
    with pytest.raises(RunConflict):
        launch(place, other, **options)


def test_a_link_in_the_place_of_the_log_is_not_followed(place, options):
    run, folder = add(place, "finish")
    target = place.root / "precious"
    target.write_text("kept")
    (folder / "worker.log").symlink_to(target)
    with pytest.raises(ForgeError, match="could not be started"):
        launch(place, run, **options)
    assert target.read_text() == "kept"
    assert state(folder) is RunState.FAILED


def test_of_many_launches_of_one_run_one_succeeds(place, options):
    run, folder = add(place, "obey")
    with ThreadPoolExecutor(20) as threads:
        results = [threads.submit(outcome, launch, place, run, **options) for _ in range(20)]
    assert sorted(str(r.result()) for r in results) == sorted(["None"] + [str(RunConflict)] * 19)
    wait_for_event(folder, "phase")
    assert [event["type"] for event in read_events(folder)] == ["started", "phase"]


def test_a_new_run_that_the_queue_was_quicker_with_has_begun_and_nothing_is_refused(place, options):
    run, folder = add(place, "obey", RunKind.EXPORT)
    assert launch_next(place, **options) == run
    launch_new(place, run, **options)
    wait_for_event(folder, "phase")
    assert [event["type"] for event in read_events(folder)] == ["started", "phase"]


def test_a_new_run_that_still_waits_was_refused(place, options):
    first, _ = add(place, "obey")
    second, folder = add(place, "finish")
    launch(place, first, **options)
    with pytest.raises(RunConflict, match=first.id):
        launch_new(place, second, **options)
    assert state(folder) is RunState.PENDING


def test_of_many_runs_launched_at_once_one_trains(place, options):
    runs = [add(place, "obey")[0] for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda run: outcome(launch, place, run, **options), runs))
    assert results.count(None) == 1
    assert results.count(RunConflict) == 5
    states = [state(run_folder(place, run)) for run in runs]
    assert states.count(RunState.RUNNING) == 1
    assert states.count(RunState.PENDING) == 5


def test_a_refused_launch_names_the_run_that_trains(place, options):
    first, folder = add(place, "obey")
    second, _ = add(place, "finish")
    launch(place, first, **options)
    wait_for_event(folder, "phase")
    with pytest.raises(RunConflict) as caught:
        launch(place, second, **options)
    assert caught.value.details == {"run": first.id}
    assert first.id in caught.value.message


def test_publishing_goes_on_beside_training(place, options):
    training, folder = add(place, "obey")
    publishing, published = add(place, "finish", RunKind.PUBLISH)
    launch(place, training, **options)
    launch(place, publishing, **options)
    wait_for_end(published)
    assert state(published) is RunState.COMPLETED
    wait_for_event(folder, "phase")
    assert state(folder) is RunState.RUNNING


def test_pending_runs_are_done_in_order_of_number_without_a_server(place, options):
    queue = [add(place, "finish") for _ in range(3)]
    assert launch_next(place, **options) == queue[0][0]
    for _, folder in queue:
        wait_for_event(folder, "completed")
        wait_for_end(folder)
    times = [[event["time"] for event in read_events(folder)] for _, folder in queue]
    assert times == sorted(times)
    assert [time for run in times for time in run] == sorted(time for run in times for time in run)
    assert launch_next(place, **options) is None


def test_a_failed_run_does_not_hold_up_the_queue(place, options):
    queue = [add(place, act) for act in ("refuse", "finish")]
    launch_next(place, **options)
    wait_for_event(queue[1][1], "completed")
    assert [state(folder).value for _, folder in queue] == ["failed", "completed"]


@pytest.mark.parametrize("name", ["control", "lock"])
def test_a_run_whose_folder_cannot_be_used_does_not_hold_up_the_queue(place, options, name):
    (_, broken), (second, folder) = add(place, "finish"), add(place, "finish")
    (broken / name).symlink_to(place.root) if name == "lock" else (broken / name).mkdir()
    assert launch_next(place, **options) == second
    wait_for_event(folder, "completed")
    with pytest.raises((ReadOnly, IsADirectoryError)):
        launch_next(place, **options)
    shutil.rmtree(broken)


def test_a_paused_run_makes_way_for_the_next(place, options):
    (first, folder), (_, second) = add(place, "obey"), add(place, "finish")
    launch(place, first, **options)
    wait_for_event(folder, "phase")
    pause(place, first)
    wait_for_event(second, "completed")
    assert state(folder) is RunState.PAUSED


def test_nothing_is_started_by_a_worker_that_was_told_to_leave(place, options):
    (first, folder), (_, second) = add(place, "obey"), add(place, "finish")
    launch(place, first, **options)
    worker = wait_for_event(folder, "phase")["pid"]
    os.kill(worker, signal.SIGTERM)
    wait_for_end(folder)
    # The child is reaped by the one who launched it: then it has done all that it will ever do.
    for thread in threading.enumerate():
        if thread.name == f"wait for {first.id}":
            thread.join()
    assert state(second) is RunState.PENDING
    assert read_events(second) == []


def test_two_who_start_the_next_run_at_once_start_one(place, options):
    for _ in range(3):
        add(place, "obey")
    with ThreadPoolExecutor(2) as threads:
        started = list(threads.map(lambda _: launch_next(place, **options), range(2)))
    assert sorted(run.number for run in started if run is not None) == [1]
    states = [state(run_folder(place, run)).value for run in list_runs(place)]
    assert states == ["running", "pending", "pending"]


def test_a_paused_run_goes_on_as_the_same_run(place, options):
    run, folder = add(place, "obey")
    launch(place, run, **options)
    first = wait_for_event(folder, "phase")
    pause(place, run)
    wait_for_end(folder)
    assert state(folder) is RunState.PAUSED
    assert is_free(place.training_lock)
    resume(place, run, **options)
    again = wait_for_event(folder, "phase", after=first["seq"])
    assert again["resumed"] is True
    assert again["pid"] != first["pid"]
    assert [event["seq"] for event in read_events(folder)] == list(range(1, again["seq"] + 1))
    assert state(folder) is RunState.RUNNING


@pytest.mark.parametrize("ending", ["paused", "stopped", "failed", "interrupted"])
def test_a_run_that_did_not_reach_its_end_can_go_on(place, options, ending):
    run, folder = add(place, "finish")
    log = EventLog(folder, noon)
    log.append("started", resume=False)
    if ending != "interrupted":
        log.append(ending)
    assert state(folder).value == ending
    resume(place, run, **options)
    wait_for_end(folder)
    assert state(folder) is RunState.COMPLETED
    assert read_events(folder)[-1]["resumed"] is True


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(RunKind.CPT, "completed"), (RunKind.CPT, "early_stopped"), (RunKind.PUBLISH, "failed")],
)
def test_a_run_that_is_over_for_good_is_not_started_again(place, options, kind, ending):
    run, folder = add(place, "finish", kind)
    EventLog(folder, noon).append("started")
    EventLog(folder, noon).append(ending)
    before = read_events(folder)
    with pytest.raises(RunConflict) as caught:
        resume(place, run, **options)
    assert ending in caught.value.message
    assert read_events(folder) == before
    assert not is_alive(folder)
    assert is_free(place.training_lock)


def test_a_pending_run_is_not_resumed(place, options):
    run, folder = add(place, "finish")
    with pytest.raises(RunConflict):
        resume(place, run, **options)
    assert state(folder) is RunState.PENDING


def test_a_command_to_an_earlier_worker_does_not_reach_the_next(place, options):
    run, folder = add(place, "obey")
    launch(place, run, **options)
    worker = wait_for_event(folder, "phase")["pid"]
    os.kill(worker, signal.SIGSTOP)
    stop(place, run)
    os.kill(worker, signal.SIGKILL)
    wait_for_end(folder)
    assert state(folder) is RunState.INTERRUPTED
    resume(place, run, **options)
    wait_for_event(folder, "phase", after=read_events(folder)[-1]["seq"])
    assert state(folder) is RunState.RUNNING


def test_a_running_run_is_stopped_by_its_worker(place, options):
    run, folder = add(place, "obey")
    launch(place, run, **options)
    wait_for_event(folder, "phase")
    stop(place, run)
    wait_for_end(folder)
    assert [event["type"] for event in read_events(folder)][-2:] == ["stopping", "stopped"]
    assert state(folder) is RunState.STOPPED


def test_a_run_stopped_as_it_is_launched_stops(place, options):
    with ThreadPoolExecutor(1) as threads:
        for _ in range(10):
            run, folder = add(place, "obey")
            launched = threads.submit(outcome, launch, place, run, **options)
            stop(place, run)
            assert launched.result() in (None, RunConflict)
            wait_for_end(folder)
            assert state(folder) is RunState.STOPPED


def test_a_run_stopped_while_it_waits_is_not_started_by_who_saw_it_waiting(place, options):
    run, folder = add(place, "obey")
    stop(place, run)
    with pytest.raises(RunConflict):
        launch(place, run, **options)
    assert state(folder) is RunState.STOPPED


def test_the_queue_goes_on_behind_a_killed_worker_as_soon_as_its_run_is_free(place, options):
    (first, folder), (second, waiting) = add(place, "obey"), add(place, "finish")
    launch(place, first, **options)
    os.kill(wait_for_event(folder, "phase")["pid"], signal.SIGKILL)
    wait_for_end(folder)
    assert launch_next(place, **options) == second
    wait_for_event(waiting, "completed")


def test_a_waiting_run_is_stopped_at_once_and_never_started(place, options):
    run, folder = add(place, "finish")
    stop(place, run, clock=noon)
    assert state(folder) is RunState.STOPPED
    assert launch_next(place, **options) is None


@pytest.mark.parametrize("before", [["started", "paused"], ["started"]])
def test_a_resting_run_is_stopped_at_once(place, before):
    run, folder = add(place, "finish")
    for name in before:
        EventLog(folder, noon).append(name)
    stop(place, run)
    assert state(folder) is RunState.STOPPED


@pytest.mark.parametrize("ending", ["completed", "early_stopped", "stopped", "failed"])
def test_a_run_that_is_over_is_not_stopped(place, ending):
    run, folder = add(place, "finish")
    EventLog(folder, noon).append(ending)
    with pytest.raises(RunConflict) as caught:
        stop(place, run)
    assert ending in caught.value.message
    assert len(read_events(folder)) == 1


def test_only_a_running_training_is_paused(place, options):
    waiting, _ = add(place, "finish")
    publishing, published = add(place, "obey", RunKind.PUBLISH)
    launch(place, publishing, **options)
    wait_for_event(published, "phase")
    for run in (waiting, publishing):
        with pytest.raises(RunConflict) as caught:
            pause(place, run)
        assert run.id in caught.value.message
    assert state(published) is RunState.RUNNING


def test_a_worker_that_cannot_be_started_fails_the_run_and_frees_the_machine(place, worker_environment):
    run, folder = add(place, "finish")
    with pytest.raises(ForgeError) as caught:
        launch(place, run, environment=worker_environment, command=("/nonexistent/python",))
    assert run.id in caught.value.message
    assert state(folder) is RunState.FAILED
    assert failure(folder)["error"] == caught.value.message
    assert not is_alive(folder)
    assert is_free(place.training_lock)


def test_a_run_that_was_thrown_away_is_not_launched(place, options):
    run, _ = add(place, "finish")
    move_to_trash(place, run)
    with pytest.raises(RunNotFound):
        launch(place, run, **options)
    assert is_free(place.training_lock)


def test_a_launch_is_refused_while_someone_else_holds_the_run(place, options):
    run, folder = add(place, "finish")
    lock = HeldLock.acquire(lock_path(folder))
    with pytest.raises(RunConflict):
        launch(place, run, **options)
    lock.release()
    assert is_free(place.training_lock)
    assert state(folder) is RunState.PENDING


def test_no_file_of_the_workspace_can_pose_as_a_module(place, options):
    for name in ("json", "forgellm", "random"):
        (place.root / f"{name}.py").write_text("raise SystemExit('hijacked')\n")
    run, folder = add(place, "finish")
    launch(place, run, **options)
    wait_for_end(folder)
    assert state(folder) is RunState.COMPLETED, (folder / "worker.log").read_text()


def test_a_bystander_with_mlx_lm_in_its_arguments_survives_everything(place, options):
    bystander = subprocess.Popen(["sh", "-c", "read x", "mlx_lm.server"], stdin=subprocess.PIPE)
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        run, folder = add(place, "obey")
        launch(place, run, **options)
        os.kill(wait_for_event(folder, "phase")["pid"], number)
        wait_for_end(folder)
    run, folder = add(place, "obey")
    launch(place, run, **options)
    wait_for_event(folder, "phase")
    stop(place, run)
    wait_for_end(folder)
    assert bystander.poll() is None
    bystander.communicate(b"\n")
