"""State, crash reports and the control file, as they lie on disk."""

from __future__ import annotations

import signal

import pytest

from forgellm.domain.errors import DiskFull
from forgellm.domain.runs import RunState
from forgellm.storage.events import EventLog
from forgellm.storage.files import PARTIAL, HeldLock
from forgellm.storage.liveness import (
    crash_report,
    failure,
    fault_signal,
    is_alive,
    lock_path,
    read_control,
    remove_leftovers,
    resting_state,
    state,
    waits,
    write_control,
)
from tests.storage.folders import noon
from tests.storage.test_files import file_size_limit

SEGFAULT = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n"


@pytest.fixture
def lock(tmp_path):
    held = HeldLock.acquire(lock_path(tmp_path))
    yield held
    held.release()


def test_a_run_lives_while_its_lock_is_held(tmp_path):
    EventLog(tmp_path, noon).append("started")
    assert not is_alive(tmp_path)
    assert state(tmp_path) is RunState.INTERRUPTED
    lock = HeldLock.acquire(lock_path(tmp_path))
    assert is_alive(tmp_path)
    assert state(tmp_path) is RunState.RUNNING
    lock.release()
    assert state(tmp_path) is RunState.INTERRUPTED


@pytest.mark.parametrize(
    "types", [[], ["label"], ["stopped"], ["started"], ["started", "paused"], ["failed"]]
)
def test_a_run_waits_where_its_state_is_pending_and_nowhere_else(tmp_path, types):
    for type in types:
        EventLog(tmp_path, noon).append(type)
    assert waits(tmp_path) is (state(tmp_path) is RunState.PENDING)


def test_who_holds_the_lock_sees_the_run_as_it_was_before(tmp_path, lock):
    assert resting_state(tmp_path) is RunState.PENDING
    EventLog(tmp_path, noon).append("started")
    assert state(tmp_path) is RunState.RUNNING
    assert resting_state(tmp_path) is RunState.INTERRUPTED


def test_a_finished_run_stays_finished_whatever_happens_to_its_process(tmp_path):
    EventLog(tmp_path, noon).append("started")
    EventLog(tmp_path, noon).append("completed")
    (tmp_path / "crash.txt").write_text(SEGFAULT)
    assert state(tmp_path) is RunState.COMPLETED
    assert failure(tmp_path) is None


@pytest.mark.parametrize(
    ("report", "number", "code"),
    [
        (SEGFAULT, signal.SIGSEGV, "OUT_OF_MEMORY"),
        ("Fatal Python error: Aborted\n", signal.SIGABRT, "OUT_OF_MEMORY"),
        ("Fatal Python error: Bus error\n", signal.SIGBUS, "OUT_OF_MEMORY"),
        ("Fatal Python error: Illegal instruction\n", signal.SIGILL, "INTERNAL_ERROR"),
    ],
)
def test_a_crash_report_means_that_the_run_failed(tmp_path, report, number, code):
    EventLog(tmp_path, noon).append("started")
    (tmp_path / "crash.txt").write_text(report)
    assert state(tmp_path) is RunState.FAILED
    assert fault_signal(tmp_path) == number
    found = failure(tmp_path)
    assert found is not None
    assert found["code"] == code
    assert f"(signal {int(number)})" in str(found["error"])
    assert found["suggestion"]


@pytest.mark.parametrize(
    ("words", "code", "advice"),
    [
        (
            "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command "
            "buffer execution failed: Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackError"
            "ImpactingInteractivity)",
            "GPU_INTERRUPTED",
            "Let the display sleep",
        ),
        (
            "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command "
            "buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOut"
            "OfMemory)",
            "OUT_OF_MEMORY",
            "Lower batch_size",
        ),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  a pipe broke",
            "INTERNAL_ERROR",
            "worker.log",
        ),
    ],
)
def test_a_worker_that_was_aborted_failed_for_what_its_log_says_last(tmp_path, words, code, advice):
    EventLog(tmp_path, noon).append("started")
    (tmp_path / "crash.txt").write_bytes(crash_report(8) + b"Fatal Python error: Aborted\n")
    (tmp_path / "worker.log").write_text("loading\n" * 1000 + words + "\n1 leaked semaphore\n")
    found = failure(tmp_path)
    assert found is not None
    assert (found["code"], advice in str(found["suggestion"])) == (code, True)
    assert words[-12:] in str(found["error"])


def test_what_an_earlier_worker_said_is_not_why_this_one_was_aborted(tmp_path):
    EventLog(tmp_path, noon).append("started")
    earlier = "  what():  [METAL] Command buffer execution failed: Impacting Interactivity\n"
    (tmp_path / "worker.log").write_text(earlier + "failed assertion\n")
    (tmp_path / "crash.txt").write_bytes(crash_report(len(earlier)) + b"Fatal Python error: Aborted\n")
    found = failure(tmp_path)
    assert found is not None
    assert found["code"] == "OUT_OF_MEMORY"
    assert "Impacting" not in str(found["error"])


def test_an_empty_crash_report_is_none(tmp_path):
    EventLog(tmp_path, noon).append("started")
    (tmp_path / "crash.txt").touch()
    assert fault_signal(tmp_path) is None
    assert state(tmp_path) is RunState.INTERRUPTED
    assert failure(tmp_path) is None


def test_the_failure_of_a_run_is_what_its_last_event_says(tmp_path):
    EventLog(tmp_path, noon).append("started")
    EventLog(tmp_path, noon).append(
        "failed", code="DISK_FULL", error="full", details={}, suggestion="free some"
    )
    assert failure(tmp_path) == {
        "code": "DISK_FULL",
        "error": "full",
        "details": {},
        "suggestion": "free some",
    }


def test_a_run_that_did_not_fail_has_no_failure(tmp_path):
    assert failure(tmp_path) is None
    EventLog(tmp_path, noon).append("stopped")
    assert failure(tmp_path) is None


def test_a_worker_is_told_what_was_last_written(tmp_path):
    assert read_control(tmp_path) == "run"
    write_control(tmp_path, "pause")
    assert read_control(tmp_path) == "pause"
    write_control(tmp_path, "stop")
    assert read_control(tmp_path) == "stop"


@pytest.mark.parametrize("text", [b"", b"halt", b"\xff\xfe", b"stopping"])
def test_a_control_file_nobody_understands_lets_the_run_go_on(tmp_path, text):
    (tmp_path / "control").write_bytes(text)
    assert read_control(tmp_path) == "run"


def test_a_command_that_cannot_be_written_is_an_error_and_the_old_one_stands(tmp_path):
    write_control(tmp_path, "run")
    with file_size_limit(0), pytest.raises(DiskFull):
        write_control(tmp_path, "stop")
    assert read_control(tmp_path) == "run"


def test_what_a_killed_worker_left_half_written_is_removed_and_nothing_else(tmp_path, lock):
    (tmp_path / "state").mkdir()
    kept = [
        "0000300_adapters.safetensors",
        "state/0000300.safetensors",
        "worker.log",
        f"{PARTIAL}9-9-control",
    ]
    left = [f"{PARTIAL}1-1-0000350_adapters.safetensors", f"state/{PARTIAL}1-1-state.json", "crash.txt"]
    for name in kept + left:
        (tmp_path / name).write_text(name)
    remove_leftovers(tmp_path)
    assert [name for name in kept + left if (tmp_path / name).exists()] == kept
