"""How far something is that comes over the network or is read from the disk, in bytes."""

from __future__ import annotations

import sys
import time

import click

from forgellm.cli.tables import size

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_LINES = 10.0


class Download:
    """How far it is: one line that changes on a terminal, lines now and then anywhere else."""

    def __init__(self, *, patience: float = 0.0) -> None:
        """Nothing is said of what takes less than `patience` seconds."""
        self._patience = patience
        self._began: tuple[float, int] | None = None
        self._shown: float | None = None
        self._last = ""

    def show(self, done: int, total: int) -> None:
        """Bytes that are here, of all."""
        now, live = time.monotonic(), sys.stderr.isatty()
        self._began = self._began or (now, done)
        seconds = now - self._began[0]
        speed = f", {size((done - self._began[1]) / seconds)}/s" if seconds > 1 else ""
        if seconds < self._patience:
            return
        self._last = f"{size(done)} of {size(total)}{speed}"
        pause = _SECONDS_BETWEEN_LOOKS if live else _SECONDS_BETWEEN_LINES
        if self._shown is None or now - self._shown >= pause:
            self._shown = now
            self._write(live)

    def end(self) -> None:
        """All of it is here."""
        if not self._last:
            return
        live = sys.stderr.isatty()
        self._write(live)
        if live:
            click.echo(err=True)

    def _write(self, live: bool) -> None:
        click.echo(f"\r{self._last:<60}" if live else self._last, nl=not live, err=True)
