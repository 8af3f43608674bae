"""training_dashboard.png: a run's curves and its summary on one sheet of 1600 × 1000 pixels.

One function per panel. What was not measured is named as such instead of being drawn. No pyplot: the
figure is an object of its own, so nothing is left behind in the process. The words come from `report`,
the lines from `curves`, the sheet's lettering from `lettering`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from forgellm.domain.metrics import (
    Series,
    generalization_gaps,
    perplexity,
    prefers,
    rolling_stability,
    series,
    smooth,
)
from forgellm.domain.runs import RunState
from forgellm.jobs.curves import (
    curve,
    fit_scale,
    legend,
    missing,
    prepare,
    start_at_zero,
    title,
    write_values,
)
from forgellm.jobs.lettering import INK, MUTED, shorten, write_columns, write_pairs
from forgellm.jobs.report import (
    NOT_MEASURED,
    Report,
    duration,
    duration_seconds,
    ending,
    loss,
    quantity,
    settings,
)
from forgellm.storage.files import atomic_path

BLUE, ORANGE, PURPLE, GREEN, RED = "#2b6ca3", "#d0701c", "#7a5aa6", "#2f8f5b", "#b3362b"
LEFT, RIGHT = 0.042, 0.972
"""Margins as shares of the sheet's width."""
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b5bcc4",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.parse_math": False,
    "figure.facecolor": "white",
}
LARGEST_GAP = 10
"""In nats per token. A run that diverges goes beyond it, where more tells nothing more."""


def write_dashboard(path: Path, report: Report) -> None:
    """Draw the run and put the PNG in place in one step. Raises DiskFull, ReadOnly."""
    with matplotlib.style.context(["default", STYLE]):
        figure = draw(report)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def draw(report: Report) -> Figure:
    """The sheet as a figure; `write_dashboard` draws it in this product's style."""
    figure = Figure(figsize=(16, 10), dpi=100)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        3,
        3,
        left=LEFT,
        right=RIGHT,
        top=0.875,
        bottom=0.055,
        wspace=0.19,
        hspace=0.42,
        height_ratios=[1.5, 1, 1],
    )
    _heading(figure, report)
    _summary(figure.add_subplot(grid[:2, 2]), report)
    panels: list[tuple[SubplotSpec, Callable[[Axes, Report], None]]] = [
        (grid[0, :2], _losses),
        (grid[1, 0], _perplexity),
        (grid[1, 1], _learning_rate),
        (grid[2, 0], _speed_and_memory),
        (grid[2, 1], _stability),
        (grid[2, 2], _gap),
    ]
    for place, panel in panels:
        axes = figure.add_subplot(place)
        prepare(axes, report.iterations)
        panel(axes, report)
    return figure


def _heading(figure: Figure, report: Report) -> None:
    edge = RIGHT * figure.bbox.width
    name = report.run.folder.rsplit("/", 1)[-1]
    shorten(figure.text(LEFT, 0.957, name, fontsize=16, fontweight="bold"), edge)
    failed = report.state is RunState.FAILED
    words = f"{report.run.id}  ·  {ending(report)}"
    shorten(figure.text(LEFT, 0.931, words, fontsize=10.5, color=RED if failed else MUTED), edge)


def _losses(axes: Axes, report: Report) -> None:
    """Raw training loss faint, smoothed, validation on domain and general data, the best marked."""
    training, validation = report.training, report.validation
    general = series(report.events, "general_validation_loss")
    if not (training or validation or general):
        return missing(axes, "Loss", NOT_MEASURED)
    _faint_and_smooth(axes, training, BLUE, label="training, smoothed")
    curve(axes, validation, ORANGE, label="validation", dots=True)
    curve(axes, general, PURPLE, label="validation, general data", dots=True)
    best = next(iter(report.best_three), None)
    if best is not None and best.validation_loss is not None:
        label = f"best {best.validation_loss:.4f} at {best.iteration:,}"
        axes.plot(
            [best.iteration], [best.validation_loss], "*", color=GREEN, markersize=13, zorder=5, label=label
        )
    remarks = fit_scale(axes, [v for _, v in [*training, *validation, *general]])
    unknown = [] if validation else [f"validation {NOT_MEASURED}"]
    unit = "nats per pair" if prefers(report.run.spec) else "nats per token"
    title(axes, "Loss", unit, *remarks, *unknown)
    legend(axes)


def _faint_and_smooth(axes: Axes, points: Series, colour: str, *, label: str) -> None:
    """What was measured behind its moving average over about a fiftieth of the run."""
    if len(points) > 1:
        curve(axes, points, colour, faint=True)
    curve(axes, smooth(points, max(0.5, 1.0 - 50.0 / max(1, len(points)))), colour, label=label)


def _perplexity(axes: Axes, report: Report) -> None:
    if prefers(report.run.spec):
        return _rewards(axes, report)
    curves = [("validation", "validation_loss", ORANGE), ("general", "general_validation_loss", PURPLE)]
    drawn: list[float] = []
    for label, key, colour in curves:
        points = [(i, perplexity(v)) for i, v in series(report.events, key)]
        finite = [(i, p) for i, p in points if p is not None]
        drawn += [p for _, p in finite]
        curve(axes, finite, colour, label=label, dots=True)
    if not drawn:
        reason = "too large to draw" if report.validation else f"{NOT_MEASURED}: no validation loss"
        return missing(axes, "Perplexity", reason)
    title(axes, "Perplexity", *fit_scale(axes, drawn))
    legend(axes)


def _rewards(axes: Axes, report: Report) -> None:
    """What preferences have instead of a perplexity."""
    chosen, rejected = (series(report.events, f"{side}_reward") for side in ("chosen", "rejected"))
    margins = series(report.events, "validation_reward_margin")
    if not (chosen or margins):
        return missing(axes, "Rewards", f"{NOT_MEASURED}: no training step")
    _faint_and_smooth(axes, chosen, GREEN, label="chosen")
    _faint_and_smooth(axes, rejected, RED, label="rejected")
    curve(axes, margins, ORANGE, label="margin in validation", dots=True)
    title(axes, "Rewards", *fit_scale(axes, [v for _, v in [*chosen, *rejected, *margins]]))
    legend(axes)


def _learning_rate(axes: Axes, report: Report) -> None:
    points = series(report.events, "learning_rate")
    if not points:
        return missing(axes, "Learning rate", f"{NOT_MEASURED}: no training step")
    title(axes, "Learning rate")
    curve(axes, points, BLUE)
    start_at_zero(axes, points)


def _speed_and_memory(axes: Axes, report: Report) -> None:
    speed, memory = series(report.events, "tokens_per_second"), series(report.events, "memory_usage_gb")
    if not (speed or memory):
        return missing(axes, "Speed and memory", f"{NOT_MEASURED}: no training step")
    right = axes.twinx()
    right.set_frame_on(False)
    right.grid(visible=False)
    _faint_and_smooth(axes, speed, GREEN, label="tokens/s")
    curve(right, memory, PURPLE, label="GB held")
    for side, points, colour in ((axes, speed, GREEN), (right, memory, PURPLE)):
        start_at_zero(side, points)
        side.tick_params(axis="y", length=0, labelcolor=colour)
        if not points:
            side.set_yticks([])
    # On the right, a zero would run into the last iteration.
    write_values(right, zero="")
    unknown = [name for name, points in (("speed", speed), ("memory", memory)) if not points]
    title(axes, "Speed and memory", *(f"{name} {NOT_MEASURED}" for name in unknown))
    legend(axes, right)


def _stability(axes: Axes, report: Report) -> None:
    points = rolling_stability(report.training)
    if not points:
        return missing(axes, "Stability", f"{NOT_MEASURED}: needs five training losses")
    title(axes, "Stability", "of the last 50 training losses", "1 is steady")
    curve(axes, points, BLUE)
    axes.set_ylim(0.0, 1.05)


def _gap(axes: Axes, report: Report) -> None:
    points = generalization_gaps(report.events)
    if not points:
        return missing(
            axes, "Generalization gap", f"{NOT_MEASURED}: needs a validation after training losses"
        )
    axes.axhline(0.0, color="#b5bcc4", linewidth=1.0)
    curve(axes, points, ORANGE, dots=True)
    cut = any(abs(gap) > LARGEST_GAP for _, gap in points)
    if cut:
        axes.set_ylim(-LARGEST_GAP, LARGEST_GAP)
    title(axes, "Generalization gap", "validation − training loss", *[f"cut at ±{LARGEST_GAP}"] * cut)


def _summary(axes: Axes, report: Report) -> None:
    """Settings, outcome and the best three checkpoints, as text."""
    axes.set_axis_off()
    title(axes, "Summary")
    below = write_pairs(axes, [*settings(report), *_outcome(report)], top=0.965)
    title(axes, "Best checkpoints", "by validation loss", height=below - 0.055)
    write_columns(axes, _ranking(report), columns=(0.0, 0.07, 0.4, 0.58), top=below - 0.09)


def _outcome(report: Report) -> list[tuple[str, str]]:
    last = report.validation[-1][0] if report.validation else None
    return [
        ("Time in steps", duration(duration_seconds(report))),
        ("Tokens trained", quantity(report.trained_tokens)),
        ("Mean speed", quantity(report.tokens_per_second, unit="tokens/s")),
        ("Peak memory", quantity(report.peak_memory_gb, unit="GB", decimals=2)),
        ("Loss before", loss(report.initial_loss) + " in validation" * (report.initial_loss is not None)),
        (
            "Latest loss",
            loss(report.final_loss) + (f" in validation at {last:,}" if last is not None else ""),
        ),
    ]


def _ranking(report: Report) -> list[tuple[str, str, str, str]]:
    if not report.best_three:
        return [("none with a measured validation loss", "", "", "")]
    return [
        (
            f"{c.rank}.",
            f"iteration {c.iteration:,}",
            loss(c.validation_loss),
            "tied with the best" * c.tied_with_best,
        )
        for c in report.best_three
    ]
