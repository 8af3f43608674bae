"""Counting what became of the rows of a dataset, and of what is wrong with them only the first in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from forgellm.data.problems import Problem
from forgellm.data.report import LISTED, FileReport, Reason

_NUMBERS = re.compile("[0-9]+")


@dataclass
class Counts:
    """What became of the rows of one file, or of the documents with one ending."""

    report: FileReport
    usable: int = 0
    excluded: int = 0
    refused: int = 0

    def final(self) -> FileReport:
        """The file's report with what was counted."""
        rows = self.usable + self.excluded + self.refused
        return replace(
            self.report, rows=rows, usable=self.usable, excluded=self.excluded, refused=self.refused
        )


@dataclass
class Problems:
    """All are counted, by reason; the first are kept. `heed` is told every one that is no note."""

    heed: Callable[[Problem], None] | None = None
    first: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Problem] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        """Take the next problem or note."""
        kept = self.notes if problem.severity == "note" else self.first
        if len(kept) < LISTED:
            kept.append(problem)
        if problem.severity == "error":
            if self.heed is not None:
                self.heed(problem)
            key = _NUMBERS.sub("N", problem.reason)
            # Reasons that quote the user's own words would be as many as there are rows.
            key = key if key in self.counts or len(self.counts) < LISTED else ""
            self.counts[key] += 1
            self.examples.setdefault(key, problem)

    def reasons(self) -> list[Reason]:
        """The most frequent first."""
        return [
            Reason(one.reason if key else "has another fault", count, one.file, one.line, one.suggestion)
            for key, count in self.counts.most_common()
            for one in [self.examples[key]]
        ]
