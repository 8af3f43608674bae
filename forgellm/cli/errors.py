"""How a ForgeError looks on a terminal, and with which code the command then ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import click

from forgellm.domain.errors import ForgeError

_SHOWN_PROBLEMS = 20


class UnusableFile(ForgeError):
    """The system refused a file that a command needed."""

    code = "UNUSABLE_FILE"
    status = 500


class ShownError(click.ClickException):
    """A failure of the machine or the program: exit code 1."""

    exit_code = 1

    def __init__(self, error: ForgeError) -> None:
        super().__init__(error.message)
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        error = self.error
        for line in describe(error.message, details=error.details, suggestion=error.suggestion):
            click.echo(line, file=file, err=True)


class RefusedRequest(ShownError):
    """A failure of what was asked for: exit code 2, as for a wrong option."""

    exit_code = 2


def shown(error: ForgeError) -> ShownError:
    """What ends the command and shows `error`."""
    return RefusedRequest(error) if 400 <= error.status < 500 else ShownError(error)


def file_error(error: OSError) -> ForgeError:
    """A file or folder that could not be read or written, where no service had a better name for it."""
    return UnusableFile(
        f"{error.filename or 'the output'} could not be used: {error.strerror or error}",
        suggestion="Check that it exists, and that you may read and write it.",
    )


def describe(message: str, *, details: Mapping[str, object], suggestion: str) -> list[str]:
    """The lines that explain a failure: what happened, which rows or places, the way out."""
    lines = [f"Error: {message}", *_problems(details), *_places(details.get("searched_paths"))]
    if suggestion:
        lines.append(f"What to do: {suggestion}")
    return [printable(line) for line in lines]


def printable(text: str) -> str:
    """Names come from files and options; an escape sequence in one must not reach the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _problems(details: Mapping[str, object]) -> list[str]:
    problems = details.get("problems")
    # A single one is in the message already.
    if not isinstance(problems, list) or len(problems) < 2:
        return []
    lines = [f"  {_place(p)}: {p.get('reason')}" for p in problems[:_SHOWN_PROBLEMS]]
    count = details.get("count", len(problems))
    if isinstance(count, int) and count > len(lines):
        lines.append(f"  ... and {count - len(lines)} more")
    return lines


def _place(problem: Mapping[str, object]) -> str:
    line = problem.get("line")
    return str(problem.get("file")) if line is None else f"{problem.get('file')}:{line}"


def _places(paths: object) -> list[str]:
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        return []
    return [f"  sought in {path}" for path in paths]
