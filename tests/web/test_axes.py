"""What the axes of a chart name: round values that stand apart, whole ones where there are no others."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

AXES = Path(__file__).with_name("axes.mjs")


def names(*ranges):
    """For each range the values that its axis names, with their pixels, and the values found there again."""
    node = shutil.which("node")
    assert node is not None, "node is missing: scripts/test installs it"
    # The suite runs with OpenBLAS preloaded, which node does not survive.
    done = subprocess.run(
        [node, AXES],
        input=json.dumps(ranges),
        capture_output=True,
        text=True,
        env={},
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def upright(low, high, **more):
    return {"min": low, "max": high, "from": 300, "to": 0, "space": 30, **more}


RANGES = [(0, 1), (1.19, 5.21), (0, 4.1e-05), (2700, 3200), (-3, 3), (0.04, 0.0400001), (1e-9, 1e9)]


def test_named_values_are_round_ascending_in_range_and_apart():
    found = names(*(upright(*r) for r in RANGES), *(upright(*r, log=True) for r in RANGES if r[0] > 0))
    ends = [*RANGES, *(r for r in RANGES if r[0] > 0)]
    for (low, high), axis in zip(ends, found, strict=True):
        slack = (high - low) * 1e-5
        assert 3 <= len(axis) <= 11
        assert all(low - slack <= value <= high + slack for value, _, _ in axis)
        assert all(before[1] - after[1] > 29.9 for before, after in pairwise(axis))
        assert [again for _, _, again in axis] == pytest.approx([value for value, _, _ in axis], abs=slack)
        assert all(len(f"{value:.12g}".strip("0.")) <= 12 for value, _, _ in axis)


def test_an_axis_of_iterations_names_whole_ones_alone():
    (few, many) = names(
        {"min": 1, "max": 3, "from": 0, "to": 800, "space": 50, "whole": True},
        {"min": 1, "max": 200_000, "from": 0, "to": 800, "space": 70, "whole": True},
    )
    assert [value for value, _, _ in few] == [1, 2, 3]
    assert [value for value, _, _ in many] == [20_000 * n for n in range(1, 11)]


def test_powers_of_ten_are_named_where_they_span_many_and_nothing_where_there_is_no_range():
    powers, nothing = names(upright(1e-3, 1e3, log=True), upright(2, 2))
    assert {1e-3, 1e-2, 0.1, 1, 10, 100, 1000} <= {value for value, _, _ in powers}
    assert nothing == []
