"""Appending, reading and following events."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone

import pytest

from forgellm.storage.events import EventLog, events_path, follow_events, last_lifecycle_event, read_events
from tests.storage.folders import noon


def write_training(folder, count):
    """A log of a run in its `count`-th iteration."""
    line = {"time": "2025-01-15T12:00:00Z", "type": "train", "training_loss": 2.5, "learning_rate": 5e-5}
    with open(events_path(folder), "w") as file:
        file.write(json.dumps({"seq": 1, "time": "", "type": "started", "resume": False}) + "\n")
        for n in range(2, count + 1):
            file.write(json.dumps({"seq": n, **line, "iteration": n}) + "\n")


def test_an_event_has_a_number_a_time_in_utc_and_its_values(tmp_path):
    berlin = timezone(timedelta(hours=1))
    log = EventLog(tmp_path, lambda: datetime(2025, 1, 15, 13, 0, 0, 250_000, tzinfo=berlin))
    event = log.append("train", iteration=1, training_loss=2.5)
    assert event == {
        "seq": 1,
        "time": "2025-01-15T12:00:00.250Z",
        "type": "train",
        "iteration": 1,
        "training_loss": 2.5,
    }
    assert read_events(tmp_path) == [event]


def test_a_log_opened_again_goes_on_counting(tmp_path):
    EventLog(tmp_path, noon).append("started")
    EventLog(tmp_path, noon).append("train")
    assert EventLog(tmp_path, noon).append("completed")["seq"] == 3
    assert [event["seq"] for event in read_events(tmp_path)] == [1, 2, 3]
    assert [event["seq"] for event in read_events(tmp_path, after=2)] == [3]


def test_counting_goes_on_behind_a_log_torn_at_any_byte(tmp_path):
    log = EventLog(tmp_path, noon)
    for n in range(3):
        log.append("train", iteration=n)
    whole = events_path(tmp_path).read_bytes()
    for cut in range(len(whole) + 1):
        events_path(tmp_path).write_bytes(whole[:cut])
        EventLog(tmp_path, noon).append("started")
        seqs = [event["seq"] for event in read_events(tmp_path)]
        assert len(seqs) == len(set(seqs)), cut
        assert seqs == sorted(seqs), cut
        assert [event["type"] for event in read_events(tmp_path)] == ["train"] * (len(seqs) - 1) + ["started"]


def test_a_number_that_is_not_finite_becomes_null(tmp_path):
    nan, inf = float("nan"), float("inf")
    EventLog(tmp_path, noon).append("train", training_loss=nan, more={"a": [inf, 1.0]}, pair=(-inf, "x"))
    (event,) = read_events(tmp_path)
    assert (event["training_loss"], event["more"], event["pair"]) == (None, {"a": [None, 1.0]}, [None, "x"])


def test_text_that_is_no_unicode_is_kept_and_does_not_stop_the_log(tmp_path):
    EventLog(tmp_path, noon).append("failed", error="row \ud800 of names\udcff.jsonl is bad: ü\u2028漢\n")
    (event,) = read_events(tmp_path)
    assert event["error"] == "row \ud800 of names\udcff.jsonl is bad: ü\u2028漢\n"


def test_lines_that_are_no_events_are_skipped(tmp_path):
    events_path(tmp_path).write_text(
        '{"seq": 1, "type": "train"}\n{"seq": "2", "type": "x"}\n{"seq": 3}\n[]\n'
    )
    assert [event["seq"] for event in read_events(tmp_path)] == [1]
    assert EventLog(tmp_path, noon).append("train")["seq"] == 2


def test_following_gives_every_event_once_until_the_end(tmp_path):
    log = EventLog(tmp_path, noon)
    log.append("started")
    log.append("train", iteration=1)
    waits = []

    def wait():
        waits.append(log.append("train", iteration=len(waits) + 2))
        if len(waits) == 3:
            log.append("completed")

    events = list(follow_events(tmp_path, after=1, wait=wait, finished=lambda: len(waits) == 3))
    assert [event["seq"] for event in events] == [2, 3, 4, 5, 6]
    assert events[-1]["type"] == "completed"


def test_what_is_written_as_the_run_ends_is_still_followed(tmp_path):
    log = EventLog(tmp_path, noon)

    def finished():
        log.append("completed")
        return True

    events = list(follow_events(tmp_path, after=0, wait=lambda: None, finished=finished))
    assert [event["type"] for event in events] == ["completed"]


def test_following_waits_for_the_other_half_of_a_line(tmp_path):
    line = json.dumps({"seq": 1, "type": "train"}).encode() + b"\n"
    pieces = [line[:5], line[5:20], line[20:]]
    written = []

    def wait():
        with open(events_path(tmp_path), "ab") as file:
            file.write(pieces[len(written)])
        written.append(True)

    events = list(follow_events(tmp_path, after=0, wait=wait, finished=lambda: len(written) == 3))
    assert events == [{"seq": 1, "type": "train"}]


def test_the_last_lifecycle_event_is_found_behind_a_long_training(tmp_path):
    assert last_lifecycle_event(tmp_path) is None
    write_training(tmp_path, 5000)
    event = last_lifecycle_event(tmp_path)
    assert event is not None
    assert (event["seq"], event["type"]) == (1, "started")
    EventLog(tmp_path, noon).append("paused")
    event = last_lifecycle_event(tmp_path)
    assert event is not None
    assert event["type"] == "paused"


@pytest.mark.parametrize(
    "line",
    [
        '{"seq": 9, "type": "corpus", "source": {"type": "completed"}}\n',
        '{"seq": 9, "type": "sample", "text": "\\"type\\": \\"completed\\""}\n',
        '{"seq": 9, "type": "completed"\n',
        '{"seq": 9, "type": "completed"}',
    ],
    ids=["nested", "quoted", "broken", "torn"],
)
def test_what_only_looks_like_the_end_of_a_run_is_not_believed(tmp_path, line):
    EventLog(tmp_path, noon).append("started")
    with open(events_path(tmp_path), "a") as file:
        file.write(line)
    event = last_lifecycle_event(tmp_path)
    assert event is not None
    assert event["type"] == "started"


def test_two_hundred_thousand_events_take_time_in_proportion(tmp_path):
    def seconds(folder, count):
        folder.mkdir()
        write_training(folder, count)
        started = time.perf_counter()
        assert len(read_events(folder)) == count
        return time.perf_counter() - started

    few, many = seconds(tmp_path / "few", 20_000), seconds(tmp_path / "many", 200_000)
    # Ten times as many; quadratic reading would take a hundred times as long.
    assert many < 40 * few


def test_the_state_of_a_finished_run_is_read_from_the_end_of_its_log(tmp_path):
    write_training(tmp_path, 1000)
    EventLog(tmp_path, noon).append("completed")
    size = events_path(tmp_path).stat().st_size
    # Whatever lies before the last block is not even read: a hole of 64 GiB does no harm.
    tail = events_path(tmp_path).read_bytes()
    with open(events_path(tmp_path), "r+b") as file:
        file.truncate(1 << 36)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + tail)
    event = last_lifecycle_event(tmp_path)
    assert event is not None
    assert event["type"] == "completed"
    assert EventLog(tmp_path, noon).append("train")["seq"] == 1002
    assert size < 1 << 20
