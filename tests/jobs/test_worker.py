"""What a worker process does with its run: last words, signals, crashes, locks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from forgellm.domain.runs import RunState
from forgellm.jobs.launcher import launch, resume
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.files import HeldLock, is_held, write_json
from forgellm.storage.liveness import failure, is_alive, lock_path, state
from forgellm.storage.runs import list_runs, run_folder
from forgellm.storage.workspace import Workspace
from tests.jobs.sample_worker import COMMAND, end_all, is_free, wait_for_end, wait_for_event
from tests.storage.folders import RunKind, new_run, noon


@pytest.fixture
def place(tmp_path):
    return Workspace.open(tmp_path)


@pytest.fixture
def start(place, worker_environment):
    """Launch a run that performs `act`; ends what still lives afterwards."""

    def started(act, kind=RunKind.CPT, **spec):
        run = new_run(place, kind, spec={"act": act, **spec})
        launch(place, run, environment=worker_environment, command=COMMAND)
        return run_folder(place, run)

    yield started
    end_all(place)


def events_of(folder):
    return [event["type"] for event in read_events(folder)]


def test_a_run_that_ends_well_says_so_last_and_frees_everything(place, start, hub_cache):
    folder = start("finish")
    wait_for_end(folder)
    assert state(folder) is RunState.COMPLETED
    assert events_of(folder) == ["started", "completed"]
    last = read_events(folder)[-1]
    assert (last["resumed"], last["hub_cache"]) == (False, str(hub_cache))
    assert is_free(place.training_lock)
    assert not (folder / "crash.txt").exists()


def test_a_worker_has_a_session_of_its_own_and_the_workspace_as_its_folder(place, start):
    folder = start("obey")
    waiting = wait_for_event(folder, "phase")
    assert waiting["cwd"] == str(place.root)
    assert os.getsid(waiting["pid"]) == waiting["pid"] != os.getsid(0)
    assert lock_path(folder).read_text() == f"{waiting['pid']}\n"
    assert state(folder) is RunState.RUNNING
    assert is_held(place.training_lock)


def test_a_named_error_is_the_last_event_with_its_way_out(start):
    folder = start("refuse")
    wait_for_end(folder)
    assert state(folder) is RunState.FAILED
    assert failure(folder) == {
        "code": "DIVERGED",
        "error": "the loss is not a number",
        "details": {"iteration": 3, "in": str(folder)},
        "suggestion": "Lower learning_rate.",
    }


@pytest.mark.parametrize(
    ("exception", "text", "code"),
    [
        ("KeyError", "weight", "INTERNAL_ERROR"),
        ("RuntimeError", "[malloc] Unable to allocate 999999999999 bytes.", "OUT_OF_MEMORY"),
        ("RuntimeError", "[METAL] Command buffer execution failed: Insufficient Memory (1)", "OUT_OF_MEMORY"),
        (
            "RuntimeError",
            "[METAL] Command buffer execution failed: Impacting Interactivity (1)",
            "GPU_INTERRUPTED",
        ),
        ("RuntimeError", "[write] Unable to write 3900096 bytes to file.", "DISK_FULL"),
        ("RuntimeError", "filesystem error: temp_directory_path: Not a directory", "NO_TEMPORARY_FOLDER"),
    ],
)
def test_the_exception_of_a_library_gets_a_name_and_its_traceback_a_place(start, exception, text, code):
    folder = start("stumble", exception=exception, text=text)
    wait_for_end(folder)
    found = failure(folder)
    assert found["code"] == code
    assert found["suggestion"]
    log = (folder / "worker.log").read_text()
    assert "Traceback" in log
    assert text in log


def test_too_much_memory_is_named(start):
    folder = start("starve")
    wait_for_end(folder)
    assert failure(folder)["code"] == "OUT_OF_MEMORY"


def test_a_full_disk_is_named_and_leaves_no_partial_file(start):
    folder = start("fill")
    wait_for_end(folder)
    assert failure(folder)["code"] == "DISK_FULL"
    assert [path.name for path in folder.iterdir() if "adapters" in path.name] == []


AWAKE = """
import sys
from contextlib import contextmanager
from forgellm.domain.runs import RunKind
from forgellm.jobs.worker import main

@contextmanager
def awake():
    print("awake", flush=True)
    yield
    print("asleep", flush=True)

jobs = dict.fromkeys(RunKind, "tests.jobs.sample_worker:perform")
sys.exit(main(sys.argv[1:], jobs=jobs, awake=awake))
"""


def test_the_machine_is_kept_awake_while_a_run_of_any_kind_goes_on(place, worker_environment):
    run = new_run(place, RunKind.EXPORT, spec={"act": "stumble", "exception": "KeyError", "text": "weight"})
    launch(place, run, environment=worker_environment, command=(sys.executable, "-c", AWAKE))
    folder = run_folder(place, run)
    wait_for_end(folder)
    log = (folder / "worker.log").read_text()
    assert log.index("awake\n") < log.index("Traceback") < log.index("asleep\n")


def test_a_job_that_cannot_be_imported_fails_the_run(place, worker_environment):
    run = new_run(place, spec={"act": "finish"})
    code = (
        "import sys; from forgellm.jobs.worker import main; from forgellm.domain.runs import RunKind\n"
        "sys.exit(main(sys.argv[1:], jobs={RunKind.CPT: 'no_such_module:train'}))\n"
    )
    launch(place, run, environment=worker_environment, command=(sys.executable, "-c", code))
    folder = run_folder(place, run)
    wait_for_end(folder)
    assert "no_such_module" in failure(folder)["error"]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_of_native_code_is_a_run_out_of_memory(place, start, number):
    folder = start("fault", signal=int(number))
    wait_for_end(folder)
    assert state(folder) is RunState.FAILED
    found = failure(folder)
    assert found["code"] == "OUT_OF_MEMORY"
    assert f"(signal {int(number)})" in found["error"]
    assert "about to die" in (folder / "worker.log").read_text()
    assert is_free(place.training_lock)


def test_a_killed_worker_leaves_an_interrupted_run(place, start):
    folder = start("fault", signal=int(signal.SIGKILL))
    wait_for_end(folder)
    assert state(folder) is RunState.INTERRUPTED
    assert failure(folder) is None
    assert is_free(place.training_lock)


def test_a_kill_after_a_crash_that_was_resumed_is_no_crash(place, start, worker_environment):
    folder = start("fault", signal=int(signal.SIGSEGV))
    wait_for_end(folder)
    for number in (signal.SIGKILL, signal.SIGABRT):
        manifest = json.loads((folder / "run.json").read_text())
        write_json(folder / "run.json", {**manifest, "spec": {"act": "fault", "signal": int(number)}})
        resume(place, list_runs(place)[0], environment=worker_environment, command=COMMAND)
        wait_for_end(folder)
        assert state(folder) is (RunState.INTERRUPTED if number == signal.SIGKILL else RunState.FAILED)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("kind", "ending"), [(RunKind.CPT, "paused"), (RunKind.PUBLISH, "stopped")])
def test_a_polite_signal_pauses_training_and_stops_anything_else(start, number, kind, ending):
    folder = start("obey", kind)
    os.kill(wait_for_event(folder, "phase")["pid"], number)
    wait_for_end(folder)
    assert events_of(folder)[-2:] == ["stopping", ending]
    assert state(folder).value == ending


def test_a_child_of_a_dead_worker_does_not_keep_its_run_alive(place, start):
    folder = start("children")
    child = wait_for_event(folder, "phase")["child"]
    worker = int(lock_path(folder).read_text())
    os.kill(worker, signal.SIGKILL)
    wait_for_end(folder)
    assert not is_alive(folder)
    assert is_free(place.training_lock)
    os.kill(child, signal.SIGKILL)


def test_a_worker_started_by_hand_takes_the_locks_itself(place, worker_environment):
    run = new_run(place, spec={"act": "finish"})
    folder = run_folder(place, run)
    ended = by_hand(folder, worker_environment)
    assert ended.returncode == 0, ended.stderr
    assert events_of(folder) == ["started", "completed"]
    assert not is_alive(folder)


def test_a_worker_started_by_hand_refuses_a_run_that_has_one(start, worker_environment):
    folder = start("obey")
    wait_for_event(folder, "phase")
    before = read_events(folder)
    ended = by_hand(folder, worker_environment)
    assert ended.returncode == 1
    assert "is running already" in ended.stderr
    assert read_events(folder) == before
    assert state(folder) is RunState.RUNNING


def test_a_worker_started_by_hand_refuses_to_train_beside_another(place, start, worker_environment):
    wait_for_event(start("obey"), "phase")
    second = run_folder(place, new_run(place, spec={"act": "finish"}))
    ended = by_hand(second, worker_environment)
    assert ended.returncode == 1
    assert "is training" in ended.stderr
    assert state(second) is RunState.PENDING


def test_a_worker_started_by_hand_refuses_what_is_no_run(tmp_path, worker_environment):
    ended = by_hand(tmp_path, worker_environment)
    assert ended.returncode == 1
    assert "run.json" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_is_a_failed_process(place, worker_environment):
    folder = run_folder(place, new_run(place, spec={"act": "refuse"}))
    assert by_hand(folder, worker_environment).returncode == 1


def test_a_worker_first_clears_away_what_a_killed_one_left(place, worker_environment):
    folder = run_folder(place, new_run(place, spec={"act": "finish"}))
    EventLog(folder, noon).append("started")
    (folder / ".partial-1-1-0000010_adapters.safetensors").write_bytes(b"half")
    by_hand(folder, worker_environment)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert read_events(folder)[-1]["resumed"] is True


def by_hand(folder, environment):
    return subprocess.run(
        [*COMMAND, str(folder)], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_the_lock_of_a_stuck_worker_is_still_its_own(start):
    folder = start("obey")
    wait_for_event(folder, "phase")
    assert HeldLock.acquire(lock_path(folder)) is None
