"""Listing runs and saying how far they have come, without reading all there is to read."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgellm.domain.errors import ForgeError, PathNotFound, RunNotFound
from forgellm.domain.metrics import series
from forgellm.domain.runs import RunKind, RunState
from forgellm.jobs import launcher
from forgellm.services import runs, training
from forgellm.services.inspection import Inspections
from forgellm.services.parts import Parts
from forgellm.services.progress import Progress, as_dict, fold
from forgellm.storage import files
from forgellm.storage.events import EventLog, events_path, read_events
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import MANIFEST, move_to_trash, restore_from_trash, run_folder
from forgellm.storage.workspace import Workspace
from tests.services.conftest import wait_for, wait_until
from tests.storage.folders import new_run, noon

HOW_SESSIONS_END = ("paused", "stopped", "killed", "failed")


def parts_in(root):
    workspace = Workspace.open(root)
    nobody = Inspections(workspace, root, {})
    return Parts(workspace=workspace, hub_cache=root, environment={}, clock=noon, inspections=nobody)


@pytest.fixture
def parts(tmp_path):
    """A workspace with nothing in it, and nobody to start a worker."""
    return parts_in(tmp_path)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """One run, whose events the property tests write anew for each example."""
    root = tmp_path_factory.mktemp("scratch")
    found = parts_in(root)
    return found, new_run(found.workspace)


class Worker:
    """Emits what jobs/worker.py, jobs/train.py and training/loop.py emit, in their order."""

    def __init__(self, total, *, eval_every, save_every, general=False):
        self.total, self.eval_every, self.save_every, self.general = total, eval_every, save_every, general
        self.events, self.saved, self.begun = [], 0, False

    def emit(self, type, **values):
        self.events.append({"seq": len(self.events) + 1, "time": "", "type": type, **values})

    def session(self, until, ending):
        """From the last saved state to iteration `until`, and how it ends there."""
        self.emit("started", resume=bool(self.events))
        self.emit("phase", phase="preparing data")
        if not self.begun:
            self.emit("corpus", train_sequences=9, domain_share=1.0)
        self.emit("phase", phase="loading model")
        if ending == "failed" and until == 0:
            return self.emit("failed", code="OUT_OF_MEMORY", error="", suggestion="")
        if self.events[0]["seq"] != self.events[-3]["seq"]:
            self.emit("resumed", iteration=self.saved)
        due = {"eval_every": self.eval_every, "save_every": self.save_every}
        self.emit("phase", phase="training", total_iterations=self.total, batches_per_epoch=3, **due)
        if not self.begun:
            self.validate(0)
            self.begun = True
        for iteration in range(self.saved + 1, min(until, self.total) + 1):
            self.iterate(iteration)
        return self.end(max(self.saved, min(until, self.total)), ending)

    def iterate(self, iteration):
        speed = {"tokens_per_second": 1000.0 + iteration, "iteration_seconds": 0.5 + iteration % 7}
        self.emit(
            "train", iteration=iteration, training_loss=3.0 - iteration * 1e-5, learning_rate=1e-5, **speed
        )
        if iteration % self.save_every == 0 or iteration == self.total:
            self.validate(iteration)
            self.emit("checkpoint", iteration=iteration, validation_loss=2.0 + iteration % 5)
            self.saved = iteration
        elif iteration % self.eval_every == 0:
            self.validate(iteration)

    def validate(self, iteration):
        general = 4.0 + iteration % 3 if self.general else None
        self.emit(
            "validation",
            iteration=iteration,
            validation_loss=2.0 + iteration % 5,
            general_validation_loss=general,
            validation_seconds=0.25 + iteration % 3,
        )

    def end(self, iteration, ending):
        if iteration == self.total:
            return self.emit("completed", iteration=iteration, final_loss=1.0)
        if ending in ("paused", "stopped"):
            self.emit("stopping", iteration=iteration, command=ending)
            self.saved = iteration
            return self.emit(ending, iteration=iteration, final_loss=1.0)
        return self.emit("failed", code="DIVERGED", error="") if ending == "failed" else None


def write(parts, run, events):
    lines = "".join(json.dumps(event) + "\n" for event in events)
    events_path(run_folder(parts.workspace, run)).write_text(lines)


def check_equal(parts, run, events, seqs):
    write(parts, run, events)
    for seq in seqs:
        assert runs.progress_at(parts, run, seq=seq) == fold(e for e in events if e["seq"] <= seq), seq
    assert runs.progress_at(parts, run) == fold(events)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 400),
    st.sampled_from([1, 7, 60, 5000]),
    st.sampled_from([1, 25, 5000]),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(HOW_SESSIONS_END)), max_size=6),
    st.data(),
)
def test_progress_is_what_all_events_say_whatever_interrupted_the_run(
    scratch, total, eval_every, save_every, sessions, data
):
    worker = Worker(total, eval_every=eval_every, save_every=save_every, general=save_every == 25)
    for until, ending in [*sessions, (total, "completed")]:
        if not worker.events or worker.events[-1]["type"] != "completed":
            worker.session(until, ending)
    last = len(worker.events)
    seqs = data.draw(st.lists(st.integers(0, last + 3), max_size=12))
    check_equal(*scratch, worker.events, [0, 1, last - 1, last, *seqs])


def test_progress_is_what_all_events_say_where_validations_lie_thousands_apart(parts):
    worker = Worker(9000, eval_every=4000, save_every=4000)
    worker.session(4600, "killed")
    worker.session(8300, "paused")
    worker.session(8500, "killed")
    seqs = [1, 5, 30, 3000, 4005, 4030, 4600, 4700, 8200, len(worker.events) - 60]
    check_equal(parts, new_run(parts.workspace), worker.events, seqs)


def test_progress_is_what_all_events_say_of_a_real_run_that_was_paused_and_resumed(
    forge, short_run, launched
):
    run = training.start(forge, {**short_run, "max_iterations": 200, "save_every": 1000, "eval_every": 90})
    launched.append(run)
    wait_until(forge, run, "train")
    launcher.pause(forge.workspace, run)
    wait_for(forge, run)
    training.resume(forge, run)
    assert wait_for(forge, run)[-1] == "completed"
    events = runs.events(forge, run)
    assert sum(event["type"] == "resumed" for event in events) == 1
    for seq in range(0, len(events) + 1, 5):
        assert runs.progress_at(forge, run, seq=seq) == fold(events[:seq])
    status = runs.status(forge, run)
    assert status.progress == fold(events)
    assert (status.progress.eval_every, status.progress.save_every) == (90, 1000)
    (summary,) = runs.summaries(forge).runs
    assert (summary.run, summary.state, summary.progress) == (run, RunState.COMPLETED, status.progress)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TIMES = ["iteration_seconds", "validation_seconds", "eval_every", "save_every", "time"]
KEYS = st.sampled_from([*as_dict(Progress()), *TIMES])
FOREIGN = st.builds(
    lambda values, type: {**values, "type": type},
    st.dictionaries(KEYS | st.text(), JSON, max_size=8),
    st.sampled_from(["train", "validation", "phase", "completed"]) | st.text(),
)


@settings(deadline=None)
@given(st.lists(FOREIGN, max_size=30))
def test_a_foreign_log_gives_progress_in_finite_numbers(scratch, values):
    parts, run = scratch
    write(parts, run, [{**event, "seq": seq} for seq, event in enumerate(values, 1)])
    path = events_path(run_folder(parts.workspace, run))
    path.write_text(path.read_text().replace("Infinity", "1e999"))
    progress = runs.progress_at(parts, run)
    points = [series(runs.events(parts, run), key) for key in as_dict(progress)]
    json.dumps([as_dict(progress), progress.end, points], allow_nan=False)
    (summary,) = runs.summaries(parts).runs
    assert summary.progress == progress
    assert runs.status(parts, run).state is summary.state


@pytest.fixture
def listed(parts):
    """Runs 1 to 6: a trained one, a failed one, a published one, a paused one, and two that wait."""
    kinds = [RunKind.CPT, RunKind.IFT, RunKind.PUBLISH, RunKind.CPT, RunKind.CPT, RunKind.IFT]
    known = [new_run(parts.workspace, kind) for kind in kinds]
    for run, ending in zip(known, ["completed", "failed", "completed", "paused"], strict=False):
        log = EventLog(run_folder(parts.workspace, run), noon)
        log.append("started", resume=False)
        log.append("phase", phase="training", total_iterations=10)
        log.append("train", iteration=run.number, training_loss=2.5)
        log.append(ending, code="DIVERGED", error="the loss is not finite")
    return known


def numbers(page):
    return [summary.run.number for summary in page.runs], page.total


def test_runs_are_listed_newest_first_in_pages_with_their_count(parts, listed):
    assert numbers(runs.summaries(parts)) == ([6, 5, 4, 3, 2, 1], 6)
    assert numbers(runs.summaries(parts, limit=2)) == ([6, 5], 6)
    assert numbers(runs.summaries(parts, limit=2, offset=5)) == ([1], 6)
    assert numbers(runs.summaries(parts, offset=9)) == ([], 6)
    assert numbers(runs.summaries(parts, newest_first=False, limit=3, offset=1)) == ([2, 3, 4], 6)


def test_a_list_can_be_narrowed_to_a_kind_and_a_state(parts, listed):
    assert numbers(runs.summaries(parts, kind=RunKind.CPT)) == ([5, 4, 1], 3)
    assert numbers(runs.summaries(parts, state=RunState.COMPLETED, limit=1)) == ([3], 2)
    assert numbers(runs.summaries(parts, kind=RunKind.IFT, state=RunState.PENDING)) == ([6], 1)
    assert numbers(runs.summaries(parts, state=RunState.EARLY_STOPPED)) == ([], 0)


def test_a_listed_run_says_what_its_status_says(parts, listed):
    for summary in runs.summaries(parts).runs:
        status = runs.status(parts, summary.run)
        assert (summary.state, summary.progress, summary.problem) == (status.state, status.progress, None)


def test_a_run_whose_events_cannot_be_read_is_listed_as_failed_with_the_reason(parts, listed):
    path = events_path(run_folder(parts.workspace, listed[3]))
    path.unlink()
    path.mkdir()
    bad = runs.summaries(parts).runs[2]
    assert (bad.run.number, bad.state, bad.progress) == (4, RunState.FAILED, Progress())
    assert "events.jsonl" in (bad.problem or "")
    assert numbers(runs.summaries(parts, state=RunState.FAILED)) == ([4, 2], 2)
    status = runs.status(parts, listed[3])
    assert status.state is RunState.FAILED
    assert "cannot be read" in str((status.failure or {})["error"])
    assert [s.state.value for s in runs.statuses(parts)][:3] == ["completed", "failed", "completed"]
    with pytest.raises(ForgeError, match="cannot be read"):
        runs.events(parts, listed[3])


def test_of_a_run_that_does_not_wait_the_queue_reads_its_events_alone(parts, listed):
    (run_folder(parts.workspace, listed[0]) / "crash.txt").mkdir()
    assert numbers(runs.summaries(parts, state=RunState.PENDING)) == ([6, 5], 2)
    command = (sys.executable, "-c", "pass")
    assert launcher.launch_next(parts.workspace, environment={}, command=command) == listed[4]


def test_a_run_whose_events_cannot_be_read_does_not_hold_up_the_queue(parts, listed):
    events_path(run_folder(parts.workspace, listed[4])).mkdir()
    command = (sys.executable, "-c", "pass")
    assert launcher.launch_next(parts.workspace, environment={}, command=command) == listed[5]


def test_following_a_run_to_its_end_does_not_fail_for_another_that_cannot_start(parts, listed):
    for run in listed[4:]:
        (run_folder(parts.workspace, run) / "control").mkdir()
    events = list(runs.follow(parts, listed[0], after=0, wait=lambda: None))
    assert events[-1]["type"] == "completed"


def test_a_run_that_cannot_be_read_keeps_no_other_from_being_found(parts, listed):
    for run, name in ((listed[3], events_path), (listed[4], lambda folder: folder / "crash.txt")):
        path = name(run_folder(parts.workspace, run))
        path.unlink(missing_ok=True)
        path.mkdir()
    found = runs.find(parts, None, wanted=lambda _, state: state is RunState.COMPLETED, sought="run")
    assert found.number == 3
    assert [(s.run.number, s.state.value, bool(s.problem)) for s in runs.summaries(parts, limit=3).runs] == [
        (6, "pending", False),
        (5, "failed", True),
        (4, "failed", True),
    ]
    assert "crash.txt cannot be read" in str((runs.status(parts, listed[4]).failure or {})["error"])
    with pytest.raises(RunNotFound):
        runs.find(parts, None, wanted=lambda _, state: state is RunState.RUNNING, sought="run")


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"\xff\xfe", b'{"id": 1e999}', b'{"number":' * 3000])
def test_a_folder_with_a_damaged_manifest_is_left_out_and_disturbs_no_other(parts, listed, manifest):
    (run_folder(parts.workspace, listed[0]) / MANIFEST).write_bytes(manifest)
    assert numbers(runs.summaries(parts)) == ([6, 5, 4, 3, 2], 5)


def test_a_running_run_is_listed_as_running(parts, listed):
    folder = run_folder(parts.workspace, listed[5])
    EventLog(folder, noon).append("started")
    lock = HeldLock.acquire(lock_path(folder))
    assert lock is not None
    assert runs.summaries(parts, state=RunState.RUNNING).runs[0].run == listed[5]
    lock.release()
    assert runs.summaries(parts, limit=1).runs[0].state is RunState.INTERRUPTED


@pytest.mark.parametrize("settled", [0, files.SETTLED_SECONDS])
def test_a_list_says_how_runs_are_whatever_became_of_their_files_since_the_last_one(
    parts, monkeypatch, settled
):
    monkeypatch.setattr(files, "SETTLED_SECONDS", settled)
    known = [new_run(parts.workspace, name=f"run{n}") for n in range(5)]
    grown, cut, exchanged, deleted, left = known
    for run in known:
        log = EventLog(run_folder(parts.workspace, run), noon)
        log.append("started")
        log.append("train", iteration=run.number, training_loss=2.5)
        log.append("stopped")
    before = listing(parts)
    assert before == [(n, n, "stopped", "marks") for n in range(1, 6)]
    log = EventLog(run_folder(parts.workspace, grown), noon)
    log.append("resumed", iteration=1)
    log.append("train", iteration=20, training_loss=2.0)
    path = events_path(run_folder(parts.workspace, cut))
    os.truncate(path, path.read_bytes().index(b"\n") + 1)
    path = events_path(run_folder(parts.workspace, exchanged))
    other = path.with_name("other")
    other.write_bytes(
        path.read_bytes().replace(b'"iteration": 3', b'"iteration": 7').replace(b"stopped", b"paused ")
    )
    os.replace(other, path)
    move_to_trash(parts.workspace, deleted)
    spec = {"dataset": "other"}
    again = new_run(parts.workspace, name="run3", spec=spec)
    move_to_trash(parts.workspace, left)
    restore_from_trash(parts.workspace, left.id)
    after = [
        (1, 20, "interrupted", "marks"),
        (2, 0, "interrupted", "marks"),
        (3, 7, "interrupted", "marks"),
        (5, 5, "stopped", "marks"),
        (again.number, 0, "pending", "other"),
    ]
    assert listing(parts) == after
    assert listing(parts) == after


def listing(parts):
    """(number, iteration, state, dataset) of every run."""
    page = runs.summaries(parts, newest_first=False)
    return [(s.run.number, s.progress.iteration, s.state.value, s.run.spec["dataset"]) for s in page.runs]


def test_a_long_run_is_looked_at_without_reading_it(parts):
    run = new_run(parts.workspace)
    worker = Worker(60_000, eval_every=5000, save_every=5000)
    worker.session(60_000, "completed")
    write(parts, run, worker.events)

    def seconds(look):
        started = time.thread_time()
        look()
        return time.thread_time() - started

    whole = seconds(lambda: read_events(run_folder(parts.workspace, run)))
    assert min(seconds(lambda: runs.status(parts, run)) for _ in range(3)) < whole / 10


def test_the_end_of_a_log_begins_with_a_whole_line(parts):
    run = new_run(parts.workspace)
    assert runs.log(parts, run) == ""
    assert runs.log(parts, run, last_bytes=10) == ""
    text = "first line\nsecond ü line\nthird\n"
    (run_folder(parts.workspace, run) / "worker.log").write_text(text)
    assert runs.log(parts, run) == text
    size = len(text.encode())
    for count in range(size + 5):
        tail = text.encode()[max(0, size - count) :].decode(errors="replace")
        expected = next(e for e in (text, "second ü line\nthird\n", "third\n", "") if len(e) <= len(tail))
        assert runs.log(parts, run, last_bytes=count) == expected, count


def test_the_end_of_a_log_without_lines_is_given_as_it_is(parts):
    run = new_run(parts.workspace)
    (run_folder(parts.workspace, run) / "worker.log").write_bytes(b"x" * 100 + b"\xc3\xbc")
    assert runs.log(parts, run, last_bytes=4) == "xxü"
    assert runs.log(parts, run, last_bytes=1) == "\ufffd"


def test_only_the_end_of_a_long_log_is_read(parts):
    run = new_run(parts.workspace)
    with open(run_folder(parts.workspace, run) / "worker.log", "wb") as file:
        # A hole takes no room on the disk, but nobody could read it.
        file.truncate(1 << 36)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast words\n")
    assert runs.log(parts, run, last_bytes=100) == "last words\n"


def test_a_log_that_is_a_link_or_a_folder_is_not_read(parts, tmp_path):
    run = new_run(parts.workspace)
    path = run_folder(parts.workspace, run) / "worker.log"
    (tmp_path / "secret").write_text("secret")
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(PathNotFound, match="no log that can be read"):
        runs.log(parts, run)
    path.unlink()
    path.mkdir()
    with pytest.raises(PathNotFound, match="no log that can be read"):
        runs.log(parts, run)
