"""Whether somebody sits at a terminal, how wide it is, and what is said whether or not somebody reads it."""

from __future__ import annotations

import os
import shutil
import sys

import click


def has_terminal() -> bool:
    """Whether someone can be asked; a closed stream is None in Python."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def agree(question: str) -> None:
    """Ask, and end the command where the answer is no. Raises UsageError where nobody can be asked."""
    if not has_terminal():
        raise click.UsageError("Without a terminal to ask at, --yes is needed.")
    click.confirm(question, abort=True)


def output_width() -> int | None:
    """How many characters stand in a line of the terminal; None where the output goes elsewhere."""
    shown = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if shown else None


def say(text: str = "", *, err: bool = False) -> None:
    """Write a line. What is to be done does not depend on it: `| tee` may have ended, or the disk be full."""
    try:
        click.echo(text, err=err)
    except OSError:
        # What is left of the line would be tried once more at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
        os.close(nowhere)
