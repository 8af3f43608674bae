"""What can be asked about a dataset. Each answer is plain values for JSON, of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgellm.data.files import misplaced
from forgellm.data.rows import SUFFIXES, Row, read_rows
from forgellm.domain.errors import PathNotFound
from forgellm.storage.datasets import find_dataset
from forgellm.storage.workspace import Workspace

_FIRST_ROWS = 5
_LONGEST_TEXT = 2_000
_MOST_ITEMS = 50
_MOST_COLUMNS = 1_000
_DEEPEST = 6


@dataclass(frozen=True)
class Asked:
    """Where datasets and models are, and whom to tell how far it is: (done, of how much)."""

    workspace: Workspace
    hub_cache: Path
    tell: Callable[[int, int], None]

    def folder(self, dataset: str) -> Path:
        """Raises DatasetNotFound, InvalidPath."""
        return find_dataset(self.workspace, dataset)

    def file(self, dataset: str, name: str) -> Path:
        """A file of rows of the dataset. Raises PathNotFound, InvalidPath."""
        folder = self.folder(dataset)
        path = folder / self.workspace.resolve(name, within=folder).relative_to(folder.resolve())
        if path.suffix.lower() not in SUFFIXES or not path.is_file() or misplaced(path, folder):
            raise PathNotFound(
                f"dataset {dataset} has no file of rows {name!a:.200}",
                details={"dataset": dataset, "file": name[:200]},
                suggestion=f"Files of rows end in {', '.join(SUFFIXES)}.",
            )
        return path


def table(asked: Asked, *, dataset: str, file: str, whole: bool) -> dict[str, object]:
    """The columns of a file, in how many rows each is empty (None unless `whole`), and the first rows.

    A file of documents has no columns.
    """
    if Path(file).suffix.lower() not in SUFFIXES:
        return {"columns": [], "null_counts": {}, "first_rows": []}
    first: list[dict[str, object]] = []
    filled: dict[str, int] = {}
    count = 0
    for row in _rows(asked.file(dataset, file), f"{dataset}/{file}"):
        if len(first) < _FIRST_ROWS:
            first.append(shown_row(row.values))
        elif not whole:
            break
        count += 1
        for column, value in row.values.items():
            if len(filled) < _MOST_COLUMNS or column in filled:
                filled[column] = filled.get(column, 0) + (value not in (None, ""))
    empty = {column: count - number if whole else None for column, number in filled.items()}
    return {"columns": list(filled), "null_counts": empty, "first_rows": first}


def shown_row(values: Mapping[str, object]) -> dict[str, object]:
    """A row for JSON: long texts and long lists end in an ellipsis."""
    return {str(column): _shown(value) for column, value in list(values.items())[:_MOST_COLUMNS]}


def shown_text(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _rows(path: Path, name: str) -> Any:
    return (row for row in read_rows(path, name) if isinstance(row, Row))


def _shown(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return shown_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(k): _shown(v, depth + 1) for k, v in list(value.items())[:_MOST_ITEMS]}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        more = ["…"] if len(value) > _MOST_ITEMS else []
        return [*(_shown(item, depth + 1) for item in value[:_MOST_ITEMS]), *more]
    # What JSON has no word for: a date, bytes; or too deep to be looked at.
    return shown_text(str(value))


ANSWERS: Mapping[str, Callable[..., dict[str, object]]] = {"table": table}
