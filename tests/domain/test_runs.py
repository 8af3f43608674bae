"""The state of a run as a rule of its events, its lock and its crash report; ids."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.runs import LIFECYCLE, RunKind, RunState, run_id, state_of

OTHER = ["train", "validation", "checkpoint", "phase", "corpus", "sample"]
TYPES = st.lists(st.sampled_from([*sorted(LIFECYCLE), *OTHER]), max_size=12)


def events(types):
    return [{"seq": n, "type": name} for n, name in enumerate(types, 1)]


@pytest.mark.parametrize(
    ("types", "alive", "crashed", "expected"),
    [
        ([], False, False, "pending"),
        ([], True, False, "pending"),
        (["started"], True, False, "running"),
        (["started", "train"], False, False, "interrupted"),
        (["started", "train"], False, True, "failed"),
        (["started", "stopping"], True, False, "stopping"),
        (["started", "stopping"], False, False, "interrupted"),
        (["started", "stopping", "paused"], False, False, "paused"),
        (["started", "paused"], True, False, "paused"),
        (["started", "paused", "started"], True, False, "running"),
        (["started", "paused", "started", "resumed"], True, False, "running"),
        (["started", "completed"], False, False, "completed"),
        (["started", "completed"], True, False, "completed"),
        (["started", "completed"], False, True, "completed"),
        (["started", "early_stopped"], False, False, "early_stopped"),
        (["stopped"], False, False, "stopped"),
        (["started", "failed"], False, False, "failed"),
        (["started", "failed", "started"], True, False, "running"),
    ],
)
def test_the_state_follows_from_the_last_lifecycle_event_and_the_lock(types, alive, crashed, expected):
    assert state_of(events(types), alive=alive, crashed=crashed).value == expected


@given(TYPES, st.lists(st.sampled_from(OTHER)), st.booleans(), st.booleans())
def test_only_the_last_lifecycle_event_counts(types, more, alive, crashed):
    decisive = [name for name in types if name in LIFECYCLE][-1:]
    expected = state_of(events(decisive), alive=alive, crashed=crashed)
    assert state_of(events(types + more), alive=alive, crashed=crashed) is expected


@given(TYPES, st.booleans())
def test_a_run_without_a_worker_is_never_running(types, crashed):
    state = state_of(events(types), alive=False, crashed=crashed)
    assert state not in (RunState.RUNNING, RunState.STOPPING)


@given(st.lists(st.tuples(st.sampled_from(RunKind), st.integers(-3, 3)), max_size=40))
def test_ids_are_unique_whatever_the_clock_does(wishes):
    taken: set[str] = set()
    for kind, seconds in wishes:
        new = run_id(kind, datetime(2025, 1, 15, 10, 30, 45) + timedelta(seconds=seconds), taken)
        assert new not in taken
        taken.add(new)


def test_an_id_names_its_kind_and_second():
    created = datetime(2025, 1, 15, 10, 30, 45)
    assert run_id(RunKind.CPT, created, set()) == "cpt_20250115_103045"
    assert run_id(RunKind.CPT, created, {"cpt_20250115_103045"}) == "cpt_20250115_103045_2"
    assert run_id(RunKind.IFT, created, {"cpt_20250115_103045"}) == "ift_20250115_103045"


def test_a_paused_run_occupies_nobody():
    assert not RunState.PAUSED.is_active
    assert {s for s in RunState if s.is_active} == {RunState.PENDING, RunState.RUNNING, RunState.STOPPING}
