"""Following a run from the terminal: its events, Ctrl-C, and how the command ends when the run does."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import click

from forgellm.cli.checkpoint_table import checkpoint_lines
from forgellm.cli.display import open_display
from forgellm.cli.errors import describe
from forgellm.cli.tables import size
from forgellm.cli.terminal import has_terminal, output_width
from forgellm.domain.errors import RunConflict
from forgellm.domain.runs import Event, Run, RunState
from forgellm.jobs import launcher
from forgellm.services import runs
from forgellm.services.parts import Parts
from forgellm.services.progress import advance, fold, measured

_SECONDS_BETWEEN_LOOKS = 0.2


class Follower:
    """Follows one run, and remembers where it was when Ctrl-C interrupts it."""

    def __init__(self, parts: Parts, run: Run, known: Sequence[Event]) -> None:
        self._parts = parts
        self._run = run
        self._seen = _seq(known[-1]) if known else 0
        self._progress = fold(known)
        self._pausing = False

    def follow(self) -> RunState:
        """Show the run until it is over, paused or left alone; its state then."""
        while True:
            try:
                self._show()
                break
            except KeyboardInterrupt:
                pass
            try:
                if self._leaves():
                    break
            except KeyboardInterrupt:
                # The second one, while the first is still being obeyed.
                break
        return runs.status(self._parts, self._run).state

    def _show(self) -> None:
        with open_display(self._progress) as display:
            for event in runs.follow(self._parts, self._run, after=self._seen, wait=_wait):
                self._progress = advance(self._progress, event)
                self._seen = _seq(event)
                display.show(event, self._progress)

    def _leaves(self) -> bool:
        """What Ctrl-C means: ask where someone can answer, otherwise pause; a second one leaves."""
        state = runs.status(self._parts, self._run).state
        if self._pausing or state is not RunState.RUNNING:
            return True
        if has_terminal():
            return self._asked()
        return self._pause()

    def _asked(self) -> bool:
        question = "What shall the run do"
        choices = click.Choice(["pause", "leave", "stop", "follow"])
        try:
            answer = click.prompt(question, type=choices, default="pause")
        except click.Abort:
            click.echo()
            return True
        if answer == "pause":
            return self._pause()
        if answer == "stop":
            launcher.stop(self._parts.workspace, self._run)
        return bool(answer == "leave")

    def _pause(self) -> bool:
        self._pausing = True
        # It may end in this very moment; following on shows how.
        with suppress(RunConflict):
            launcher.pause(self._parts.workspace, self._run)
            click.echo(f"Pausing {self._run.id}; its state is being saved.")
        return False


def follow_to_end(parts: Parts, run: Run, *, known: Sequence[Event] = ()) -> None:
    """Follow `run`, say how it ended and what comes next; `known` events are not shown again.

    Exits with 1 where the run failed.
    """
    state = Follower(parts, run, known).follow()
    if state in (RunState.FAILED, RunState.INTERRUPTED):
        for line in _trouble(parts, run, state):
            click.echo(line, err=True)
        sys.exit(1)
    for line in conclusion(parts, run, state):
        click.echo(line)


def conclusion(parts: Parts, run: Run, state: RunState) -> list[str]:
    """What is to be said after following: the ranking of a training run, the place of a published model."""
    if state.is_active:
        return [f"{run.id} is {state.value}. `forgellm runs follow {run.id}` follows it again."]
    lines = [] if state is not RunState.PAUSED else [f"`forgellm runs resume {run.id}` goes on from here."]
    if not run.kind.trains:
        return [*_published(parts, run), *lines]
    ranked = runs.checkpoints(parts, run)
    if any(c.rank for c in ranked):
        lines.append(f"`forgellm publish {run.id}` publishes the best.")
    return [*checkpoint_lines(ranked, width=output_width()), f"Run {run.id} in {run.folder}", *lines]


def _published(parts: Parts, run: Run) -> list[str]:
    end = runs.status(parts, run).progress.end or {}
    lines = [
        ("validation loss of the checkpoint", end.get("checkpoint_validation_loss")),
        ("validation loss of the published model", end.get("published_validation_loss")),
        ("validation loss before", end.get("validation_loss_before")),
        ("validation loss after", end.get("validation_loss_after")),
        ("bits a weight, with scales", end.get("bits_per_weight")),
    ]
    losses = [f"{words}: {value:.4f}" for words, value in lines if isinstance(value, float)]
    places = [("Model", "published_model_path"), ("README", "readme_path"), ("Dashboard", "dashboard_path")]
    places.append(("Export", "export_path"))
    warning = [f"Note: {end['warning']}."] if end.get("warning") else []
    return [
        *losses,
        *_sizes(end),
        *warning,
        *(f"{words}: {end[key]}" for words, key in places if end.get(key)),
    ]


def _sizes(end: Event) -> list[str]:
    """Of a quantized model, beside the one that it was made of."""
    before, after = (measured(end.get(key)) for key in ("size_bytes_before", "size_bytes"))
    if before is None or after is None:
        return []
    return [f"size: {size(after)}, before {size(before)}"]


def _trouble(parts: Parts, run: Run, state: RunState) -> list[str]:
    log = f"`forgellm runs log {run.id}` shows what it wrote." if runs.log(parts, run) else ""
    if state is RunState.INTERRUPTED:
        way_out = f"Start it again: only training goes on from a saved state. {log}"
        if run.kind.trains:
            way_out = f"`forgellm runs resume {run.id}` goes on from the last saved state. {log}"
        return describe(f"run {run.id} was cut off", details={}, suggestion=way_out.strip())
    failure = runs.status(parts, run).failure or {}
    details = failure.get("details")
    return describe(
        f"run {run.id} failed: {failure.get('error')} ({failure.get('code')})",
        details=details if isinstance(details, dict) else {},
        suggestion=f"{failure.get('suggestion') or ''} {log}".strip(),
    )


def _seq(event: Event) -> int:
    return int(str(event["seq"]))


def _wait() -> None:
    time.sleep(_SECONDS_BETWEEN_LOOKS)
