"""A dataset that is being written out of another one, and what is left out of it on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path, PurePath

from forgellm.data.files import NOT_TRAINED_ON
from forgellm.data.problems import Problem
from forgellm.domain.errors import InvalidDataset
from forgellm.jobs.asked import Asked, Dataset
from forgellm.storage.decisions import Decisions, write_decisions
from forgellm.storage.incoming import incoming

_LISTED = 100
_LONGEST_STEM = 240
"""Bytes: with a number and its suffix it fits into the 255 that a name may have."""


class Writing:
    """Rows and files of the dataset that is being written, and what is left out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.written: Counter[str] = Counter()
        self.left_out = 0
        self._decisions = Decisions()
        self._files: dict[tuple[str, str], str] = {}
        self._problems: list[Problem] = []

    def _path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def copy(self, source: Path, name: str) -> None:
        """A file as it is, counted with all of its kind in its part."""
        kind = PurePath(name)
        held = kind.parts[0] in NOT_TRAINED_ON and len(kind.parts) > 1
        shutil.copyfile(source, self._path(name))
        self.written[f"{kind.parts[0]}/*{kind.suffix}" if held else f"*{kind.suffix}"] += 1

    def text(self, name: str, text: str) -> None:
        """A file of its own, as UTF-8."""
        self.written[name] += 1
        self._path(name).write_text(text, encoding="utf-8", errors="replace", newline="")

    def file_for(self, relative: str, part: str) -> str:
        """The file for the rows that come from one file and go into one part; no other's go there."""
        if (relative, part) not in self._files:
            wanted = _part_file(relative, part)
            taken = set(self._files.values())
            names = (wanted.with_stem(f"{wanted.stem}_{n}") if n > 1 else wanted for n in count(1))
            name = next(name for one in names if (name := one.as_posix()) not in taken)
            self._files[relative, part] = name
        return self._files[relative, part]

    def row(self, name: str, values: Mapping[str, object]) -> None:
        """Append a line of JSON to a file."""
        self.written[name] += 1
        with open(self._path(name), "a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")

    def decide_as(self, found: Dataset, file: str, name: str) -> None:
        """Have what was decided about the columns of a file hold for the file `name`."""
        known, decided = found.decisions, self._decisions
        if file in known.columns:
            decided = replace(decided, columns={**decided.columns, name: known.columns[file]})
        if file in known.shapes:
            decided = replace(decided, shapes={**decided.shapes, name: known.shapes[file]})
        self._decisions = decided

    def exclude_as(self, found: Dataset, file: str) -> None:
        """Have the same lines of a file left out."""
        if file in found.decisions.excluded:
            excluded = {**self._decisions.excluded, file: found.decisions.excluded[file]}
            self._decisions = replace(self._decisions, excluded=excluded)

    def tell(self, count: int, words: str, found: Dataset) -> None:
        """Note that something was passed over, where it was."""
        if count:
            self._problems.append(Problem(found.folder.name, None, f"{count} {words}", severity="note"))

    def leave_out(self, problem: Problem) -> None:
        """Notes say nothing that is lost."""
        if problem.severity == "error":
            self.left_out += 1
            if len(self._problems) < _LISTED:
                self._problems.append(problem)

    def finish(self, source: Mapping[str, object]) -> None:
        """Write down where it came from, with what holds for its files."""
        write_decisions(self._folder, replace(self._decisions, source=source))

    def answer(self, dataset: str) -> dict[str, object]:
        """What has been written. Raises InvalidDataset where nothing was."""
        if not self.written:
            first = f": {self._problems[0]}" if self._problems else ""
            raise InvalidDataset(
                f"dataset {dataset} has nothing that could be written{first}",
                details={"dataset": dataset, "problems": [asdict(problem) for problem in self._problems]},
                suggestion=f"`forgellm datasets check {dataset}` tells what is wrong with it.",
            )
        return {
            "written": dict(self.written),
            "left_out": self.left_out,
            "problems": [asdict(problem) for problem in self._problems],
        }


@contextmanager
def writing(asked: Asked, name: str, *, source: Mapping[str, object]) -> Iterator[Writing]:
    """The dataset `name` is there once the block ends. Raises DatasetConflict, DiskFull, ReadOnly."""
    with incoming(asked.workspace) as place:
        made = Writing(place.folder)
        yield made
        made.finish(source)
        place.place(name)


def _part_file(relative: str, part: str) -> PurePath:
    """Where the rows of a file go: into the folder of their part, as JSON lines."""
    plain = PurePath(relative)
    inner = plain.relative_to(part) if plain.parts[0] == part else plain
    joined = os.fsencode("_".join(inner.with_suffix("").parts))
    name = joined[:_LONGEST_STEM].decode("utf-8", "ignore")
    return PurePath(f"{name}.jsonl" if part == "train" else f"{part}/{name}.jsonl")
