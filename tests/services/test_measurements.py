"""Measurements in columns say what the series of all events say, and follow a run that goes on."""

from __future__ import annotations

import json
import math
import os
from datetime import datetime, timezone

import pytest

from forgellm.domain.metrics import series
from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.services.columns import MEASURED
from forgellm.services.measurements import measurements
from forgellm.storage.events import EventLog, events_path, read_events
from forgellm.storage.runs import create_run, move_to_trash, run_folder

SPEC = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def run(forge):
    return create_run(
        forge.workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec(SPEC)),
        name=None,
        created=now(),
        versions={},
        base_fingerprint=None,
    )


def unpacked(packed: bytes) -> dict[str, list[float | None]]:
    line = packed[: packed.index(b"\n") + 1]
    assert len(line) % 8 == 0
    head = json.loads(line)
    values = memoryview(packed[len(line) :]).cast("d").tolist()
    assert len(values) == head["rows"] * len(head["columns"])
    known = [None if math.isnan(value) else value for value in values]
    return {
        name: known[n * head["rows"] : (n + 1) * head["rows"]] for n, name in enumerate(head["columns"])
    } | {"last_seq": head["last_seq"]}


def expected(forge, run) -> dict[str, list[float | None]]:
    events = read_events(run_folder(forge.workspace, run))
    known = {key: dict(series(events, key)) for key in MEASURED}
    iterations = sorted(set().union(*known.values()))
    return {"iteration": iterations, **{key: [known[key].get(i) for i in iterations] for key in MEASURED}}


def said(forge, run, **options) -> dict[str, list[float | None]]:
    return unpacked(measurements(forge, run, **options))


def test_columns_follow_a_run_through_validations_and_a_resume(forge, run):
    assert said(forge, run)["iteration"] == []
    log = EventLog(run_folder(forge.workspace, run), now)
    log.append("validation", iteration=0, validation_loss=5.0, general_validation_loss=2.0)
    for n in range(1, 5):
        log.append("train", iteration=n, training_loss=5.0 - n, tokens_per_second=10, gradient_norm=math.nan)
    log.append("validation", iteration=4, validation_loss=3.0)
    assert said(forge, run) == {**expected(forge, run), "last_seq": 6}
    log.append("resumed", iteration=2)
    log.append("train", iteration=3, training_loss=9.0)
    assert said(forge, run) == {**expected(forge, run), "last_seq": 8}
    assert said(forge, run)["iteration"] == [0.0, 1.0, 2.0, 3.0]


def test_a_file_that_lost_its_end_is_read_anew(forge, run):
    folder = run_folder(forge.workspace, run)
    log = EventLog(folder, now)
    for n in range(1, 5):
        log.append("train", iteration=n, training_loss=float(n))
    assert said(forge, run)["iteration"] == [1.0, 2.0, 3.0, 4.0]
    lines = events_path(folder).read_bytes().splitlines(keepends=True)
    events_path(folder).write_bytes(b"".join(lines[:2]))
    assert said(forge, run)["training_loss"] == [1.0, 2.0]


def test_a_file_that_lost_its_end_and_has_grown_beyond_it_since_is_read_anew(forge, run):
    folder = run_folder(forge.workspace, run)
    log = EventLog(folder, now)
    for n in range(1, 5):
        log.append("train", iteration=n, training_loss=float(n))
    assert said(forge, run)["training_loss"] == [1.0, 2.0, 3.0, 4.0]
    os.truncate(events_path(folder), events_path(folder).read_bytes().index(b"\n") + 1)
    log = EventLog(folder, now)
    for n in range(2, 7):
        log.append("train", iteration=n, training_loss=-float(n))
    assert said(forge, run) == {**expected(forge, run), "last_seq": 6}
    assert said(forge, run)["training_loss"] == [1.0, -2.0, -3.0, -4.0, -5.0, -6.0]


def test_another_run_in_the_folder_of_one_that_was_deleted_has_its_own_measurements(forge, run):
    folder = run_folder(forge.workspace, run)
    log = EventLog(folder, now)
    log.append("validation", iteration=0, validation_loss=5.0)
    assert said(forge, run)["validation_loss"] == [5.0]
    move_to_trash(forge.workspace, run)
    folder.mkdir()
    log = EventLog(folder, now)
    log.append("validation", iteration=0, validation_loss=2.0)
    log.append("train", iteration=1, training_loss=3.0)
    assert said(forge, run)["validation_loss"] == [2.0, None]


def test_few_points_keep_the_validations_and_the_end(forge, run):
    log = EventLog(run_folder(forge.workspace, run), now)
    for n in range(1, 100):
        log.append("train", iteration=n, training_loss=1.0 / n)
        if n in (17, 83):
            log.append("validation", iteration=n, validation_loss=2.0)
    thin = said(forge, run, points=10)
    assert thin["iteration"] == [float(n) for n in sorted({*range(1, 100, 9), 17, 83, 99})]
    assert [n for n, loss in zip(thin["iteration"], thin["validation_loss"], strict=True) if loss] == [17, 83]
