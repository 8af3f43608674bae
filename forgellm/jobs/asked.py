"""A dataset that something is asked about: its files, rows and documents, with the decisions about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from forgellm.data.documents import Document, document_files, read_document_files
from forgellm.data.example_files import Part, RowFile, row_files
from forgellm.data.problems import Problem
from forgellm.data.records import Record, RecordFile
from forgellm.data.rows import Row
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import PathNotFound
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import Decisions, read_decisions
from forgellm.storage.workspace import Workspace

PARTS: tuple[Part, ...] = get_args(Part)


class Tokenizers:
    """Keeps the tokenizer that was used last: loading one takes a second."""

    def __init__(self) -> None:
        self._last: tuple[Path, Any] | None = None

    def of(self, model: Path) -> Any:
        """The tokenizer of a model's folder. Raises InvalidModel."""
        if self._last is None or self._last[0] != model:
            self._last = (model, load_tokenizer(model))
        return self._last[1]


@dataclass(frozen=True)
class Asked:
    """Where datasets and models are, and whom to tell how far it is: (done, of how much)."""

    workspace: Workspace
    hub_cache: Path
    tell: Callable[[int, int], None]
    tokenizers: Tokenizers


class Dataset:
    """A dataset by name, with what was decided about it. Raises DatasetNotFound, InvalidDataset."""

    def __init__(self, asked: Asked, name: str) -> None:
        self.folder = find_dataset(asked.workspace, name)
        self.decisions: Decisions = read_decisions(self.folder)

    @cached_property
    def row_files(self) -> list[RowFile]:
        """All of its files of rows."""
        return list(row_files(self.folder))

    @cached_property
    def document_names(self) -> dict[str, Path]:
        """All of its files that are documents, by their names within it."""
        paths = (path for part in PARTS for path in document_files(self.folder, part=part))
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    def records(self, file: RowFile) -> RecordFile:
        """What the rows of the file come to."""
        return RecordFile(file, self.decisions)

    def documents(self) -> Iterator[tuple[Part, Document | Problem]]:
        """The files that are documents, of every part, one after the other."""
        for part in PARTS:
            for found in read_document_files(self.folder, decisions=self.decisions, part=part):
                yield part, found

    def row_file(self, name: str) -> RowFile:
        """The file of rows called that within the dataset. Raises PathNotFound."""
        for file in self.row_files:
            if file.relative == name:
                return file
        raise not_there(self, name)


def not_there(found: Dataset, file: str) -> PathNotFound:
    """The error for a file that the dataset does not have, or that nobody reads."""
    return PathNotFound(
        f"dataset {found.folder.name} has no file {file!r:.200} that is read",
        details={"file": file[:200]},
        suggestion="GET /api/datasets/NAME, or `forgellm datasets show NAME`, lists its files.",
    )


def side_by_side(records: RecordFile) -> Iterator[tuple[Row | Problem, Record | Problem | None]]:
    """Each row as it is in the file, and what it comes to; nothing where all of the file is left out."""
    outcomes = records.records()
    last: Record | Problem | None = None
    for row in records.rows():
        # One problem stands for all rows where no shape is recognised.
        last = next(outcomes, last)
        yield row, last
