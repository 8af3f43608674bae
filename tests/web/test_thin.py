"""What a chart draws of a long series: as much as its pixels show, and nothing that stands out is lost."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

THIN = Path(__file__).with_name("thin.mjs")


def series(rows, *, seed):
    """Noise with gaps and a few values that stand far apart."""
    noise = random.Random(seed)
    column = [None if noise.random() < 0.05 else noise.gauss(0, 1) for _ in range(rows)]
    for row in noise.sample(range(rows), k=min(rows, 3)):
        column[row] = noise.choice([-50.0, 50.0])
    return column


def drawn(column, *, before, width=100):
    node = shutil.which("node")
    assert node is not None, "node is missing: scripts/test installs it"
    given = {
        "x": list(range(len(column))),
        "column": column,
        "before": before,
        "from": 0,
        "to": max(1, len(column) - 1),
        "width": width,
    }
    # The suite runs with OpenBLAS preloaded, which node does not survive.
    done = subprocess.run(
        [node, THIN], input=json.dumps(given), capture_output=True, text=True, env={}, check=True, timeout=120
    )
    return json.loads(done.stdout)


GROWN = [(50_000, 0), (50_000, 49_999), (50_017, 31), (700, 699), (1, 0)]


@pytest.mark.parametrize(("rows", "before"), GROWN)
def test_a_grown_series_is_drawn_with_all_that_stands_out(rows, before):
    column = series(rows, seed=rows + before)
    found = drawn(column, before=before)
    measured = [value for value in column if value is not None]
    assert found["extent"] == [min(measured), max(measured)]
    positive = [value for value in measured if value > 0]
    assert found["positive"] == ([min(positive), max(positive)] if positive else None)
    assert found["places"] == sorted(set(found["places"]))
    assert len(found["places"]) <= max(400, 2 * 102)
    shown = [column[place] for place in found["places"]]
    assert {min(measured), max(measured)} <= set(shown)


def test_every_pixel_of_a_long_series_shows_nearly_how_far_it_reaches():
    column = series(60_000, seed=7)
    places = drawn(column, before=0)["places"]
    for pixel in range(100):
        rows = [value for value in column[600 * pixel : 600 * (pixel + 1)] if value is not None]
        shown = [column[place] for place in places if 600 * pixel <= place < 600 * (pixel + 1)]
        shown = [value for value in shown if value is not None]
        # A block that spans two pixels counts for one of them.
        assert sum(value > max(shown) for value in rows) <= 32
        assert sum(value < min(shown) for value in rows) <= 32
