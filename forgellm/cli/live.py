"""The live bar on a terminal: phase, iterations, losses, speed, memory, time left. Drawn by rich."""

from __future__ import annotations

from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from forgellm.cli.tables import duration
from forgellm.cli.wording import event_line, figures
from forgellm.domain.runs import Event
from forgellm.services.progress import Progress


class LiveDisplay:
    """Two lines that are redrawn at the bottom; lasting events scroll above them."""

    def __init__(self, progress: Progress) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[left]}"),
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, count="", left="")
        self._figures = Text("", style="dim", no_wrap=True, overflow="ellipsis")
        self._draw(progress)
        self._live = Live(Group(self._bar, self._figures), transient=True, refresh_per_second=8)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event, progress: Progress) -> None:
        line = event_line(event)
        # How far a phase is stands in the bar itself.
        if line is not None and "share" not in event:
            self._live.console.print(line, markup=False, highlight=False)
        self._draw(progress)

    def _draw(self, progress: Progress) -> None:
        total = progress.total_iterations
        self._bar.update(
            self._task,
            description=progress.phase or "waiting",
            completed=progress.iteration,
            total=total,
            count="" if total is None else f"{progress.iteration}/{total}",
            left="" if progress.eta_seconds is None else f"{duration(progress.eta_seconds)} left",
        )
        self._figures.plain = "  ".join(figures(progress))
