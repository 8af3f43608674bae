"""What is wrong with a row or a document, said so that a person finds and mends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from shlex import quote
from typing import Literal

from forgellm.domain.errors import InvalidDataset, nearest

SHOWN = 100
"""How many problems an error lists; it counts them all."""

_QUOTED = 60
_COMPARED = 50

Severity = Literal["error", "note"]


@dataclass(frozen=True)
class Problem:
    """`file` begins with the dataset's name; `line` counts from 1, None where the whole file is meant.

    A note tells of a decision that was taken for the user and keeps nothing from being trained on.
    """

    file: str
    line: int | None
    reason: str
    suggestion: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.reason}"


class BadRow(Exception):
    """Why a row cannot be used, raised where its file and line are not known; caught where they are."""

    def __init__(self, reason: str, suggestion: str = "Correct the row, or leave it out.") -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion

    def at(self, file: str, line: int | None) -> Problem:
        """The problem that a person reads."""
        return Problem(file, line, self.reason, self.suggestion)


def command(verb: str, file: str, more: str = "") -> str:
    """What to type to have something done about a file, whose name begins with the dataset's."""
    dataset, _, relative = file.partition("/")
    return f"forgellm datasets {verb} {quote(dataset)} {quote(relative)} {more}".rstrip()


def kind_of(value: object) -> str:
    """What a value is, in words for a reason: `null`, `text`, `an array` …"""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return "a number" if isinstance(value, int | float) else f"{type(value).__name__}"


def quoted(value: object) -> str:
    """A value of the user's in a reason: escaped, and cut where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return "something deeply nested"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def likely(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`. Among many or long ones it is not looked for: that takes too long."""
    if len(name) > _QUOTED:
        return None
    return nearest(name, islice((one for one in known if len(one) <= _QUOTED), _COMPARED))


def invalid_dataset(name: str, problems: Sequence[Problem]) -> InvalidDataset:
    """The error for one or more problems: the first in its message, up to `SHOWN` in its details."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = problems[0].suggestion or "Correct or remove what is listed, then start again."
    if any(problem.line is not None for problem in problems):
        hint += f" To leave out whatever cannot be used: forgellm datasets exclude {quote(name)} --refused"
    return InvalidDataset(
        f"dataset {name} cannot be trained on: {problems[0]}{more}",
        details={"dataset": name, "problems": [asdict(p) for p in problems[:SHOWN]], "count": len(problems)},
        suggestion=hint,
    )
