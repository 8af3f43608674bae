"""How far through the files of a dataset its items have come, as far as what was read of them tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from forgellm.data.documents import document_files
from forgellm.data.example_files import Part, row_files
from forgellm.data.sources import Kind


class Reached:
    """Counts the bytes of text of one item after the other against the sizes of the files they come from.

    A file of rows has more in it than their texts, and a PDF more than its own: where the next file begins,
    all of those before it count as read.
    """

    def __init__(self, dataset: Path, kind: Kind, parts: Sequence[Part]) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._total = 0
        for path in _files(dataset, kind, parts):
            size = path.stat().st_size if path.is_file() else 0
            self._places[f"{dataset.name}/{path.relative_to(dataset).as_posix()}"] = (self._total, size)
            self._total += size
        self._file, self._within = "", 0

    def add(self, file: str, count: int) -> None:
        """So many more bytes of a file, whose name begins with the dataset's."""
        if file != self._file:
            self._file, self._within = file, 0
        self._within += count

    @property
    def share(self) -> float:
        """0 to 1; it never falls."""
        before, size = self._places.get(self._file, (0, 0))
        return (before + min(size, self._within)) / max(self._total, 1)


def _files(dataset: Path, kind: Kind, parts: Sequence[Part]) -> Iterator[Path]:
    """In the order in which they are read."""
    for part in parts:
        if kind == "documents":
            yield from document_files(dataset, part=part)
        yield from (file.path for file in row_files(dataset, part=part))
