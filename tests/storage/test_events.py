"""Appending, reading and following events."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgellm.domain.errors import ForgeError
from forgellm.storage.events import (
    EventLog,
    events_backwards,
    events_of,
    events_path,
    follow_events,
    last_event,
    last_lifecycle_event,
    read_events,
)
from forgellm.storage.files import read_json_lines
from tests.storage.folders import noon

TYPES = ("train", "validation", "phase", "completed")
NO_EVENTS = [
    b"",
    b"   ",
    b" torn",
    b"[]",
    b"null",
    b'{"seq": 7',
    b'{"seq": 7}',
    b'{"seq": "7", "type": "train"}',
    b'{"seq": true, "type": "train"}',
    b'{"seq": 7.0, "type": "train"}',
    b'{"type": "validation"}',
    b'{"seq": 1' + b"0" * 400 + b', "type": "train"}',
    b'{"seq": -3, "type": "train"}',
    b'{"seq": 3, "type": "train", "note": "\xff"}',
    b'{"seq": 3, "type": ["train"], "validation": "completed"}',
    b"x" * 30_000,
    b'{"a":' * 2000,
    b"\0" * 9000,
]


@st.composite
def logs(draw):
    """A log whose numbers rise, with damage anywhere in it and perhaps a torn end; some lines are long."""
    seq, lines = 0, []
    for _ in range(draw(st.integers(0, 40))):
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(NO_EVENTS)))
            continue
        seq += draw(st.integers(1, 3))
        event = {
            "seq": seq,
            "type": draw(st.sampled_from(TYPES)),
            "nested": {"type": draw(st.sampled_from(TYPES))},
        }
        lines.append(json.dumps({**event, "text": "y" * draw(st.sampled_from([0, 10, 700, 9000]))}).encode())
    torn = draw(st.sampled_from([b"", b"{", b'{"seq": 99999, "type": "completed"}', b"z" * 9000]))
    return b"".join(line + b"\n" for line in lines) + torn


def every_event(folder):
    """All of them, by reading the whole file."""
    records = read_json_lines(events_path(folder)).records
    return [
        r
        for r in records
        if type(r.get("seq")) is int and 0 < r["seq"] < 2**53 and isinstance(r.get("type"), str)
    ]


def write_training(folder, count):
    """A log of a run in its `count`-th iteration."""
    line = {"time": "2025-01-15T12:00:00Z", "type": "train", "training_loss": 2.5, "learning_rate": 5e-5}
    with open(events_path(folder), "w") as file:
        file.write(json.dumps({"seq": 1, "time": "", "type": "started", "resume": False}) + "\n")
        for n in range(2, count + 1):
            file.write(json.dumps({"seq": n, **line, "iteration": n}) + "\n")


def write_more(folder, seqs):
    with open(events_path(folder), "a") as file:
        for n in seqs:
            file.write(json.dumps({"seq": n, "type": "train", "iteration": n}) + "\n")


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


@settings(deadline=None)
@given(logs(), st.integers(-1, 130), st.none() | st.integers(0, 50))
def test_a_page_is_what_reading_everything_would_give(tmp_path_factory, log, after, limit):
    folder = tmp_path_factory.getbasetemp()
    events_path(folder).write_bytes(log)
    expected = [event for event in every_event(folder) if event["seq"] > after]
    assert read_events(folder, after=after, limit=limit) == expected[:limit]


def test_events_of_some_types_are_found_as_they_are_written_here_and_elsewhere(tmp_path):
    log = EventLog(tmp_path, noon)
    log.append("started", resume=False)
    log.append("train", iteration=1, note='"phase", "type": "phase"', details={"type": "phase"})
    log.append("phase", phase="train")
    with open(events_path(tmp_path), "a") as file:
        file.write('{"type":"phase","seq":4}\n{"seq": 5, "more": {"type": "train"}, "type": "phase"}\n')
        file.write(
            '{"seq": 6, "time": "\\"", "type": "ph\\u0061se"}\n{"seq": 7, "time": null, "type": "train"}\n'
        )
    assert [event["seq"] for event in events_of(tmp_path, ("phase",))] == [3, 4, 5]
    assert [event["seq"] for event in events_of(tmp_path, ("train", "started"))] == [1, 2, 7]


@settings(deadline=None)
@given(logs(), st.none() | st.integers(-1, 130), st.sets(st.sampled_from(TYPES), min_size=1))
def test_reading_backwards_finds_what_reading_everything_would(tmp_path_factory, log, upto, types):
    folder = tmp_path_factory.getbasetemp()
    events_path(folder).write_bytes(log)
    expected = [event for event in every_event(folder) if upto is None or event["seq"] <= upto]
    assert list(events_backwards(folder, upto=upto)) == expected[::-1]
    of_types = [event for event in expected if event["type"] in types]
    assert last_event(folder, types, upto=upto) == (of_types[-1] if of_types else None)


@settings(deadline=None)
@given(logs(), st.integers(0, 130))
def test_following_begins_behind_what_is_known(tmp_path_factory, log, after):
    folder = tmp_path_factory.getbasetemp()
    events_path(folder).write_bytes(log)
    expected = [event for event in every_event(folder) if event["seq"] > after]
    assert list(follow_events(folder, after=after, wait=lambda: None, finished=lambda: True)) == expected


def test_numbers_that_no_json_reader_holds_are_null_in_what_is_read(tmp_path):
    line = (
        '{"seq": 1, "type": "train", "a": 1e999, "b": [-1e999, {"c": 1%s}], "d": 1%s, "e": 2.5, "f": true}\n'
    )
    events_path(tmp_path).write_text(line % ("0" * 400, "0" * 30))
    (event,) = read_events(tmp_path)
    found = {key: event[key] for key in "abdef"}
    assert found == {"a": None, "b": [None, {"c": None}], "d": None, "e": 2.5, "f": True}
    assert [last_event(tmp_path, ("train",)), *events_backwards(tmp_path)] == [event, event]


def test_an_event_nested_too_deeply_is_none(tmp_path):
    deep = '{"seq": 1, "type": "train", "a": ' + "[" * 900 + "]" * 900 + "}\n"
    events_path(tmp_path).write_text(deep + '{"seq": 2, "type": "train"}\n')
    assert [event["seq"] for event in read_events(tmp_path)] == [2]


def test_what_lies_far_back_is_found_again_when_the_log_has_grown_or_was_replaced(tmp_path):
    write_training(tmp_path, 20_000)
    validation = {"seq": 20_001, "type": "validation", "validation_loss": 2.0}
    with open(events_path(tmp_path), "a") as file:
        file.write(json.dumps(validation) + "\n")
    write_more(tmp_path, range(20_002, 40_000))
    for _ in range(2):
        assert last_event(tmp_path, ("validation",)) == validation
        assert last_event(tmp_path, ("validation",), upto=20_000) is None
        assert last_lifecycle_event(tmp_path)["seq"] == 1
    write_more(tmp_path, range(40_000, 45_000))
    EventLog(tmp_path, noon).append("stopping")
    assert last_event(tmp_path, ("validation",)) == validation
    assert last_lifecycle_event(tmp_path)["type"] == "stopping"
    write_training(tmp_path, 45_000)
    assert last_event(tmp_path, ("validation",)) is None


def test_events_behind_a_link_are_not_read(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secrets.jsonl").write_text('{"seq": 1, "type": "train", "secret": 1}\n')
    events_path(folder).symlink_to(tmp_path / "secrets.jsonl")
    with pytest.raises(ForgeError, match="cannot be read"):
        read_events(folder)
    assert last_lifecycle_event(folder)["type"] == "failed"


def test_events_that_cannot_be_read_are_a_named_failure_and_never_a_run_that_has_not_begun(tmp_path):
    events_path(tmp_path).mkdir()
    for read in (read_events, lambda folder: next(events_backwards(folder))):
        with pytest.raises(ForgeError, match=r"events.jsonl of .* cannot be read: Is a directory"):
            read(tmp_path)
    with pytest.raises(ForgeError):
        EventLog(tmp_path, noon)
    event = last_lifecycle_event(tmp_path)
    assert event is not None
    assert event["type"] == "failed"
    assert "cannot be read" in str(event["error"])


def test_two_hundred_thousand_events_take_time_in_proportion_and_a_page_of_them_next_to_none(tmp_path):
    def seconds(folder, count):
        folder.mkdir()
        write_training(folder, count)
        started = time.thread_time()
        assert len(read_events(folder)) == count
        return time.thread_time() - started

    few, many = seconds(tmp_path / "few", 20_000), seconds(tmp_path / "many", 200_000)
    # Ten times as many; quadratic reading would take a hundred times as long.
    assert many < 40 * few

    def page_seconds(after):
        started = time.thread_time()
        page = read_events(tmp_path / "many", after=after, limit=1000)
        assert [event["seq"] for event in page] == list(range(after + 1, after + 1001))
        return time.thread_time() - started

    # A two-hundredth of it, wherever it lies.
    assert max(map(page_seconds, (0, 100_000, 199_000))) < many / 5


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
