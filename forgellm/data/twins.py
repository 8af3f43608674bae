"""Rows and documents of a dataset that are the same, or nearly, with where each of them stands."""

from __future__ import annotations

from array import array

import numpy as np

from forgellm.data.duplicates import NearDuplicates, content_key
from forgellm.data.report import LISTED, Twin, Twins


class TwinFinder:
    """Remembers each text by hashes and where it stands; 20 bytes, and what `NearDuplicates` needs."""

    def __init__(self, near: NearDuplicates) -> None:
        self._files: dict[tuple[str, str], int] = {}
        self._keys, self._file, self._line = array("Q"), array("L"), array("Q")
        self._near = near

    def add(self, text: str, *, file: str, line: int | None, part: str) -> None:
        """The next text; parts come one after another."""
        self._keys.append(int.from_bytes(content_key(text)[:8], "little"))
        self._file.append(self._files.setdefault((file, part), len(self._files)))
        self._line.append(line or 0)
        self._near.add(text)

    @property
    def compared(self) -> int:
        """How many of the first texts were looked at for near likeness; equal ones are found among all."""
        return self._near.count

    def found(self) -> tuple[Twins, Twins, Twins]:
        """(the same in one part, nearly the same in one part, either in two parts)."""
        same, near, overlap = _Listed(), _Listed(), _Listed()
        places = list(self._files)
        first = self._first()
        pairs = [(int(one), int(first[one]), False) for one in np.flatnonzero(first != np.arange(len(first)))]
        pairs += [(one, other, True) for one, other in self._near.pairs() if first[one] == one]
        for one, other, nearly in pairs:
            file, part = places[self._file[one]]
            of_file, of_part = places[self._file[other]]
            twin = Twin(file, self._line[one] or None, of_file, self._line[other] or None, nearly)
            (overlap if part != of_part else near if nearly else same).add(twin)
        return same.twins(), near.twins(), overlap.twins()

    def _first(self) -> np.ndarray:
        """For each text the first one with its key."""
        keys = np.frombuffer(self._keys, dtype=np.uint64) if self._keys else np.zeros(0, np.uint64)
        _, first, back = np.unique(keys, return_index=True, return_inverse=True)
        return np.asarray(first[back])


class _Listed:
    def __init__(self) -> None:
        self._count = 0
        self._first: list[Twin] = []

    def add(self, twin: Twin) -> None:
        self._count += 1
        if len(self._first) < LISTED:
            self._first.append(twin)

    def twins(self) -> Twins:
        return Twins(self._count, self._first)
