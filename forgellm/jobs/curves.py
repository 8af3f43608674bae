"""Drawing on one panel: curves thinned to what can be seen, their scale, legend, title and what is missing.

Which curves there are is the dashboard's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from forgellm.domain.metrics import Series, thin
from forgellm.jobs.lettering import MUTED

MAXIMUM_POINTS = 1200
"""A curve with more is thinned: no more can be told apart on the sheet."""
SPIKE = 30
"""A logarithmic scale from this ratio of the highest to the lowest value on."""


def curve(
    axes: Axes,
    points: Series,
    colour: str,
    *,
    label: str | None = None,
    dots: bool = False,
    faint: bool = False,
) -> None:
    """Draw `points`, the few measured ones (`dots`) marked; nothing where there are none."""
    if not points:
        return
    thinned = thin(points, MAXIMUM_POINTS)
    marked = len(points) == 1 or (dots and len(points) <= 60)
    axes.plot(
        [i for i, _ in thinned],
        [v for _, v in thinned],
        color=colour,
        label=label,
        alpha=0.28 if faint else 1.0,
        linewidth=0.8 if faint else 1.7,
        marker="o" if marked else "",
        markersize=4,
        solid_joinstyle="round",
    )


def prepare(axes: Axes, iterations: int) -> None:
    """The same iterations on every panel."""
    last = max(1, iterations)
    axes.set_xlim(-0.01 * last, 1.02 * last)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.0f}"))
    axes.tick_params(length=0)
    write_values(axes)


def write_values(axes: Axes, *, zero: str = "0") -> None:
    """Plain numbers on the vertical axis, which a change of scale would replace by powers of ten."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: number(value) if value else zero))
    axes.yaxis.set_minor_formatter(NullFormatter())


def start_at_zero(axes: Axes, points: Series) -> None:
    """Leave room above the highest value."""
    axes.set_ylim(0.0, max((v for _, v in points), default=0.0) * 1.12 or 1.0)


def fit_scale(axes: Axes, values: Sequence[float]) -> list[str]:
    """Logarithmic where one spike would flatten everything else; answers the remark that says so."""
    if not 0 < min(values) < max(values) / SPIKE:
        return []
    axes.set_yscale("log")
    axes.tick_params(axis="y", which="both", length=0)
    write_values(axes)
    return ["logarithmic"]


def number(value: float) -> str:
    """A value beside an axis: `0.25`, `1,500`, `5e-5`."""
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        words = f"{mantissa}e{int(exponent)}" if exponent else mantissa
    else:
        words = f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.0f}"
    return words.replace("-", "−", 1) if value < 0 else words


def legend(axes: Axes, *others: Axes) -> None:
    """Above the panel, where no curve runs."""
    lines = [line for each in (axes, *others) for line in each.get_legend_handles_labels()[0]]
    axes.legend(
        handles=lines,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(lines),
        frameon=False,
        borderaxespad=0.25,
        handlelength=1.4,
        columnspacing=1.4,
    )


def title(axes: Axes, words: str, *notes: str, height: float = 1.0) -> None:
    """Above `height` (a share of the panel's), units and remarks behind it on the same line."""
    above = axes.annotate(
        words,
        (0, height),
        xycoords="axes fraction",
        xytext=(0, 8),
        textcoords="offset points",
        fontsize=11.5,
        fontweight="bold",
    )
    axes.annotate(
        ", ".join(notes),
        (1, height),
        xycoords=(above, "axes fraction"),
        xytext=(7, 8),
        textcoords="offset points",
        color=MUTED,
    )


def missing(axes: Axes, words: str, reason: str) -> None:
    """A bare panel of that title which says why nothing is drawn on it."""
    title(axes, words)
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])
