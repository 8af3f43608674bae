"""What the benchmarks promise, judged in one form: rows of case, figure, wanted and whether it is reached.

All of them print the same table of these and, with --json, {"rows": […], and what each has beside}. Figure
and wanted are words; `reached` is None where nothing is promised. Further keys of a row are bare figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

Row = dict[str, Any]


class Named(Protocol):
    """A case of a benchmark."""

    @property
    def name(self) -> str: ...


AnyCase = TypeVar("AnyCase", bound=Named)


def verdict(case: str, figure: str, *, wanted: str, reached: bool | None, **figures: Any) -> Row:
    """One row."""
    return {"case": case, "figure": figure, "wanted": wanted, "reached": reached, **figures}


def at_least(case: str, ratio: float, wanted: float | None, **figures: Any) -> Row:
    """A ratio that must reach what is wanted, where anything is promised."""
    if wanted is None:
        return verdict(case, f"{ratio:.2f}", wanted="", reached=None, ratio=ratio, **figures)
    reached = ratio >= wanted
    words = f"at least {wanted:.2f}"
    return verdict(case, f"{ratio:.2f}", wanted=words, reached=reached, ratio=ratio, **figures)


def at_most(case: str, ratio: float, wanted: float, **figures: Any) -> Row:
    """A ratio that must not pass what is wanted."""
    reached = ratio <= wanted
    words = f"at most {wanted:.2f}"
    return verdict(case, f"{ratio:.2f}", wanted=words, reached=reached, ratio=ratio, **figures)


def within(case: str, ratio: float, share: float, **figures: Any) -> Row:
    """A ratio that must be near 1."""
    reached = abs(ratio - 1) <= share
    words = f"within {share:.0%}"
    return verdict(case, f"{ratio:.2f}", wanted=words, reached=reached, ratio=ratio, **figures)


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    case, figure, wanted = (max(len(row[key]) for row in rows) for key in ("case", "figure", "wanted"))
    mark = {None: "", True: "reached", False: "MISSED"}
    return "\n".join(
        f"{row['case']:<{case}}  {row['figure']:>{figure}}  {row['wanted']:<{wanted}}  {mark[row['reached']]}"
        for row in rows
    )


def status(rows: Sequence[Row]) -> int:
    """What a benchmark exits with: 1 where something promised is missed, or nothing was measured."""
    return 0 if rows and all(row["reached"] is not False for row in rows) else 1


def finish(rows: Sequence[Row], *, as_json: bool, **found: Any) -> int:
    """Print the table, where JSON is wanted on standard error, and that; the exit status."""
    if rows:
        print(table(rows), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps({"rows": rows, **found}, indent=2))
    return status(rows)


def chosen(parser: argparse.ArgumentParser, cases: Sequence[AnyCase], part: str) -> list[AnyCase]:
    """The cases whose name contains `part`; the command ends where there is none."""
    found = [case for case in cases if part in case.name]
    if not found:
        parser.error(f"no case has {part!r} in its name; there are: {', '.join(c.name for c in cases)}")
    return found
