"""The dashboard as a file and as a sheet: its size, what is written on it, what is drawn."""

from __future__ import annotations

import itertools
import resource
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.legend import Legend
from matplotlib.text import Text

from forgellm.domain.errors import DiskFull
from forgellm.domain.metrics import thin
from forgellm.jobs.curves import MAXIMUM_POINTS, number
from forgellm.jobs.dashboard import STYLE, draw, write_dashboard
from tests.jobs.sample_reports import CASES, completed, loss_at


@contextmanager
def drawn(report) -> Iterator:
    """The sheet, and every piece of text that its renderer was asked to draw. A warning is an error."""
    with warnings.catch_warnings(), matplotlib.style.context(["default", STYLE]):
        warnings.simplefilter("error")
        figure = draw(report)
        renderer = figure.canvas.get_renderer()
        pieces: list[Text] = []
        draw_text = renderer.draw_text

        def remember(gc, x, y, s, prop, angle, ismath=False, mtext=None):
            pieces.append(mtext)
            draw_text(gc, x, y, s, prop, angle, ismath, mtext)

        renderer.draw_text = remember
        figure.canvas.draw()
        yield figure, pieces


def words_on(report) -> list[str]:
    with drawn(report) as (_, pieces):
        return [piece.get_text() for piece in pieces]


def panel(figure, name):
    """The panel under the title `name`."""
    return next(axes for axes in figure.axes if any(text.get_text() == name for text in axes.texts))


def boxes(figure, pieces):
    """(words, box in pixels) of each piece of text, those of a legend together with its lines as one."""
    legends = figure.findobj(Legend)
    inside = {id(text) for legend in legends for text in legend.get_texts()}
    single = [(piece.get_text(), piece.get_window_extent()) for piece in pieces if id(piece) not in inside]
    return single + [("legend", legend.get_window_extent()) for legend in legends]


def overlap(a, b) -> bool:
    """By more than the pixel that rounding may take."""
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return wide > 1 and high > 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_dashboard_is_a_png_of_1600_by_1000_pixels(tmp_path):
    write_dashboard(tmp_path / "training_dashboard.png", completed(20))
    head = (tmp_path / "training_dashboard.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (1600, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["training_dashboard.png"]


def test_a_disk_that_fills_up_leaves_the_former_dashboard_and_nothing_else(tmp_path):
    path = tmp_path / "training_dashboard.png"
    path.write_bytes(b"the former one")
    with largest_file(4096), pytest.raises(DiskFull):
        write_dashboard(path, completed(20))
    assert path.read_bytes() == b"the former one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_another_or_leaves_the_sheet_and_nothing_warns(case):
    with drawn(CASES[case]) as (figure, pieces):
        assert len(pieces) > 30
        placed = boxes(figure, pieces)
        assert not [(a, b) for (a, p), (b, q) in itertools.combinations(placed, 2) if overlap(p, q)]
        sheet = figure.bbox
        assert not [
            words
            for words, box in placed
            if box.x0 < 0 or box.y0 < 0 or box.x1 > sheet.width or box.y1 > sheet.height
        ]


def test_drawing_leaves_the_style_of_the_process_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    write_dashboard(tmp_path / "sheet.png", completed(2))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["Loss", "Perplexity", "Learning rate", "Speed and memory", "Stability"])
def test_a_panel_without_measurements_says_so_and_has_no_curve(name):
    with drawn(CASES["failed while loading"]) as (figure, _):
        axes = panel(figure, name)
        assert not axes.lines
        assert any("not measured" in text.get_text() for text in axes.texts)


def test_every_number_that_was_not_measured_is_named_as_such():
    assert words_on(CASES["failed while loading"]).count("not measured") == 7


def test_what_alone_is_missing_stands_beside_the_title():
    assert "memory not measured" in words_on(CASES["memory unknown"])
    assert "nats per token, validation not measured" in words_on(CASES["no validation"])


def test_how_a_run_failed_stands_under_its_name():
    words = words_on(CASES["diverged"])
    assert "cpt_20250115_103000 · failed DIVERGED: the training loss is not finite at iteration 100" in words


def test_a_long_error_keeps_both_of_its_ends():
    line = next(words for words in words_on(CASES["a long error"]) if "failed" in words)
    assert line.startswith("cpt_20250115_103000 · failed INTERNAL_ERROR: it went wrong and on it")
    assert "…" in line
    assert line.endswith("it went wrong and on")


def test_characters_that_the_font_lacks_are_drawn_as_question_marks_and_mathematics_as_it_is_typed():
    value = next(words for words in words_on(CASES["long names"]) if "???" in words)
    assert "$x_1$" in value
    assert "\n" not in value


def test_the_summary_has_the_planned_iterations_the_peak_memory_and_the_best_checkpoints():
    words = words_on(completed(100))
    assert {"100 of 100", "4.25 GB", "10,000", "50 s", "4.0000 in validation"} <= set(words)
    best = min(range(10, 101, 10), key=lambda i: loss_at(i, 100))
    assert words[words.index("1.") + 1] == f"iteration {best}"


def test_the_best_checkpoint_is_marked_at_its_iteration_and_loss():
    best = min(range(10, 101, 10), key=lambda i: loss_at(i, 100))
    with drawn(completed(100)) as (figure, _):
        star = next(line for line in panel(figure, "Loss").lines if line.get_marker() == "*")
        assert star.get_xdata() == [best]
        assert star.get_ydata() == [pytest.approx(loss_at(best, 100) + 0.2)]


def test_a_diverged_loss_is_drawn_on_a_logarithmic_scale_with_plain_numbers():
    with drawn(CASES["diverged"]) as (figure, pieces):
        assert panel(figure, "Loss").get_yscale() == "log"
        assert panel(figure, "Generalization gap").get_ylim() == (-10, 10)
        assert not [piece.get_text() for piece in pieces if "$" in piece.get_text()]


def test_two_hundred_thousand_events_are_thinned_to_what_can_be_seen():
    with drawn(completed(200_000)) as (figure, _):
        lines = [line for axes in figure.axes for line in axes.lines]
        assert max(len(line.get_xdata()) for line in lines) <= MAXIMUM_POINTS
        raw = panel(figure, "Loss").lines[0].get_xdata()
        assert (raw[0], raw[-1]) == (1, 200_000)


def test_a_resumed_run_draws_every_iteration_once_and_as_it_was_trained_last():
    with drawn(CASES["resumed"]) as (figure, _):
        for axes in figure.axes:
            for line in axes.lines:
                points = list(line.get_xdata())
                assert points == sorted(set(points))
        raw = panel(figure, "Loss").lines[0]
        values = dict(zip(raw.get_xdata(), raw.get_ydata(), strict=True))
    assert values[40] == loss_at(40, 100)
    assert values[41] == loss_at(41, 100) - 0.5
    assert list(values) == list(range(1, 101))


SERIES = st.lists(st.floats(-1e30, 1e30), max_size=200).map(lambda values: list(enumerate(values)))


@given(SERIES, st.integers(4, 40))
def test_thinning_keeps_both_ends_the_highest_and_the_lowest_point_within_the_limit(points, maximum):
    kept = thin(points, maximum)
    assert len(kept) <= max(maximum, 0)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(points)
    if points:
        values = [value for _, value in points]
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        assert {min(values), max(values)} <= {value for _, value in kept}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (0.25, "0.25"),
        (-0.5, "−0.5"),
        (1500.0, "1,500"),
        (5e-5, "5e-5"),
        (-1e22, "−1e22"),
        (1e24, "1e24"),
    ],
)
def test_numbers_beside_an_axis_are_short(value, words):
    assert number(value) == words
