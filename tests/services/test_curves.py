import os
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from pydantic import TypeAdapter

from forgellm.api.native.dashboard import OfTraining, Point, data
from forgellm.domain.errors import ForgeError, PathNotFound, ReadOnly
from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.services import curves
from forgellm.services.columns import MEASURED
from forgellm.services.training import start
from forgellm.storage.events import EventLog, events_path
from forgellm.storage.files import PARTIAL
from forgellm.storage.runs import create_run, run_folder
from tests.services.conftest import wait_for


def a_run(forge, spec):
    """A run of which only the folder is there; nothing was trained for it."""
    return create_run(
        forge.workspace,
        RunKind.CPT,
        spec=spec,
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )


@pytest.fixture
def log(forge, untrained):
    return EventLog(run_folder(forge.workspace, untrained), forge.clock)


@pytest.fixture
def untrained(forge):
    return a_run(forge, {})


def test_an_iteration_has_one_row_with_everything_that_was_measured_at_it(forge, untrained, log):
    log.append("started")
    log.append("validation", iteration=0, validation_loss=5.0)
    log.append("train", iteration=1, training_loss=4.0, learning_rate=0.1)
    last = log.append("validation", iteration=1, validation_loss=4.5)
    rows = curves.curves(forge, untrained).rows
    assert [row["iteration"] for row in rows] == [0, 1]
    assert rows[1] == {
        **dict.fromkeys(MEASURED),
        "iteration": 1,
        "training_loss": 4.0,
        "learning_rate": 0.1,
        "validation_loss": 4.5,
        "timestamp": last["time"],
        "seq": 4,
    }


def test_what_a_resume_repeated_counts_as_it_came_out_last(forge, untrained, log):
    log.append("train", iteration=1, training_loss=4.0, tokens_per_second=10.0, iteration_seconds=1.0)
    log.append("train", iteration=2, training_loss=3.0, tokens_per_second=50.0, peak_memory_gb=9.0)
    assert curves.curves(forge, untrained).peak_memory_gb == 9.0
    log.append("resumed", iteration=1)
    log.append("train", iteration=2, training_loss=2.0, tokens_per_second=40.0, iteration_seconds=2.0)
    found = curves.curves(forge, untrained)
    assert [(row["iteration"], row["training_loss"], row["seq"]) for row in found.rows] == [
        (1, 4.0, 1),
        (2, 2.0, 4),
    ]
    assert (found.average_tokens_per_second, found.peak_memory_gb) == (30.0, None)


def test_a_row_has_the_fields_that_are_documented_of_it_and_no_others(forge, untrained, log):
    """Nothing compares them once more on their way out."""
    log.append("train", iteration=1, training_loss=4)
    (row,) = data(forge, OfTraining(training_dir=untrained.id)).training_data
    assert list(row) == list(Point.__annotations__)
    assert TypeAdapter(Point).validate_python(row, strict=True) == row


def test_a_run_comes_with_its_picture_which_is_drawn_anew_only_after_new_events(forge, short_run):
    run = start(forge, short_run)
    wait_for(forge, run)
    found = curves.curves(forge, run)
    assert [row["iteration"] for row in found.rows] == [0, 1, 2, 3, 4]
    assert sorted(found.best_checkpoints) == [2, 4]
    assert found.average_tokens_per_second > 0
    assert found.peak_memory_gb > 0
    picture = curves.picture(forge, run)
    assert picture.read_bytes().startswith(b"\x89PNG")
    drawn = picture.stat().st_mtime_ns
    assert curves.picture(forge, run).stat().st_mtime_ns == drawn
    os.utime(run_folder(forge.workspace, run) / "events.jsonl")
    assert curves.picture(forge, run).stat().st_mtime_ns > drawn


def test_what_has_no_picture_says_so(forge):
    run = a_run(forge, {})
    with pytest.raises(PathNotFound, match="no dashboard"):
        curves.picture(forge, run)
    (run_folder(forge.workspace, run) / "events.jsonl").write_text("")
    (run_folder(forge.workspace, run) / "run.json").write_text("{")
    with pytest.raises(ForgeError, match="could not be drawn"):
        curves.picture(forge, run)


@pytest.fixture
def finished(forge, short_run):
    run = a_run(forge, to_dict(parse_spec(short_run)))
    log = EventLog(run_folder(forge.workspace, run), forge.clock)
    log.append("started", resume=False)
    log.append("train", iteration=1, training_loss=4.0)
    log.append("completed")
    return run


def draws(process):
    """Whether it draws curves: other tests' workers may be on their way out."""
    try:
        return "forgellm.jobs.draw" in process.cmdline()
    except psutil.Error:
        return False


def test_of_many_who_ask_for_a_picture_at_once_one_has_it_drawn(forge, finished):
    os.utime(events_path(run_folder(forge.workspace, finished)))
    this, over, most = psutil.Process(), threading.Event(), [0]

    def count():
        while not over.wait(0.02):
            most[0] = max(most[0], sum(draws(child) for child in this.children()))

    watching = threading.Thread(target=count)
    watching.start()
    with ThreadPoolExecutor(6) as threads:
        drawn = list(
            threads.map(lambda _: curves.picture(forge, finished).stat().st_mtime_ns, range(6), timeout=60)
        )
    over.set()
    watching.join()
    assert len(set(drawn)) == 1
    assert most[0] == 1


def test_a_link_in_the_place_of_the_picture_is_replaced_by_it(forge, finished, tmp_path):
    (tmp_path / "secret").write_text("secret")
    path = run_folder(forge.workspace, finished) / "training_dashboard.png"
    for target in (tmp_path / "secret", forge.workspace.datasets / "nothing.png"):
        path.symlink_to(target)
        assert curves.picture(forge, finished).read_bytes().startswith(b"\x89PNG")
        path.unlink()
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_picture_that_cannot_be_written_is_refused_by_name_and_an_old_one_is_still_shown(forge, finished):
    folder = run_folder(forge.workspace, finished)
    curves.picture(forge, finished)
    # Root, whom permissions do not bind, cannot write a file where a folder is either.
    (folder / f"{PARTIAL}{os.getpid()}-probe").mkdir()
    assert curves.picture(forge, finished).is_file()
    os.utime(events_path(folder))
    with pytest.raises(ReadOnly):
        curves.picture(forge, finished)
