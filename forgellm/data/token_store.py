"""A dataset's tokens in files, item after item: written as a stream, checked, and read in slices.

They are read, not mapped: what is read by way of a map counts as memory of the process.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from forgellm.data.sequences import Offsets, Tokens
from forgellm.data.split import Keys
from forgellm.data.structure import Marks
from forgellm.storage.files import read_json, storage_errors, write_json

MANIFEST = "store.json"
BLOCK = 1 << 18
"""Tokens in one slice of a longer item."""

Span = tuple[int, int]
"""From one token to another, counted over the whole store."""


class DamagedStore(Exception):
    """A store is missing, or not as it was written; the cache then builds it anew."""


class StoreWriter:
    """Writes a store into an existing, empty folder. Raises DiskFull, ReadOnly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with storage_errors(folder), ExitStack() as stack:
            self._tokens = stack.enter_context(open(folder / "tokens", "wb"))
            self._marks = stack.enter_context(open(folder / "marks", "wb"))
            self._stack = stack.pop_all()
        self._offsets = array("q", [0])
        self._end = 0
        self._sums = {"tokens": 0, "marks": 0}
        self.largest = -1

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors(self._folder / "tokens"):
            self._stack.close()

    def add(self, ids: Tokens, marks: npt.NDArray[np.generic], *, last: bool = True) -> None:
        """The next item, or a part of it up to the last. Of an example the marks are 1 where a token is
        learned."""
        with storage_errors(self._folder / "tokens"):
            self._write(self._tokens, "tokens", ids.astype("<i4"))
            self._write(self._marks, "marks", marks.astype("u1"))
        self._end += len(ids)
        if last:
            self._offsets.append(self._end)
        self.largest = max(self.largest, int(ids.max(initial=-1)))

    def finish(self, keys: Keys, facts: Mapping[str, object]) -> None:
        """Write what is known of all items: `keys` uint64 [items, kinds] and plain values. Then the
        store is whole."""
        self._stack.close()
        offsets = np.array(self._offsets, "<i8")
        with storage_errors(self._folder / "tokens"):
            for name, values in (("offsets", offsets), ("keys", keys.astype("<u8"))):
                with open(self._folder / name, "wb") as file:
                    self._sums[name] = 0
                    self._write(file, name, values)
        manifest = {
            "items": len(self),
            "tokens": int(offsets[-1]),
            "largest": self.largest,
            "sums": self._sums,
        }
        write_json(self._folder / MANIFEST, {**manifest, "kinds": keys.shape[1], "facts": dict(facts)})

    def _write(self, file: BinaryIO, name: str, values: npt.NDArray[np.generic]) -> None:
        data = np.ascontiguousarray(values).view(np.uint8).data
        self._sums[name] = zlib.crc32(data, self._sums[name])
        file.write(data)


class TokenStore:
    """A store that is whole. `offsets` int64 [items + 1], `keys` uint64 [items, kinds]."""

    def __init__(self, folder: Path) -> None:
        """Open and check every byte. Raises DamagedStore."""
        try:
            manifest: Any = read_json(folder / MANIFEST)
            items, kinds, sums = manifest["items"], manifest["kinds"], manifest["sums"]
            self.largest: int = manifest["largest"]
            self.facts: Mapping[str, Any] = manifest["facts"]
            self._tokens, self._marks = (_checked(folder / name, sums[name]) for name in ("tokens", "marks"))
            with _checked(folder / "offsets", sums["offsets"]) as file:
                self.offsets: Offsets = np.fromfile(file, "<i8")
            with _checked(folder / "keys", sums["keys"]) as file:
                self.keys: Keys = np.fromfile(file, "<u8").reshape(items, kinds)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedStore(str(error)) from error

    @property
    def lengths(self) -> Offsets:
        """Tokens of each item, int64 [items]."""
        return np.diff(self.offsets)

    def span(self, item: int) -> Span:
        return int(self.offsets[item]), int(self.offsets[item + 1])

    def slices(self, spans: Sequence[Span]) -> Iterator[tuple[Tokens, Marks]]:
        """(ids int32, marks uint8) of the spans in order, long ones in several slices."""
        for start, end in spans:
            for low in range(start, end, BLOCK):
                yield self.read(low, min(low + BLOCK, end))

    def read(self, start: int, end: int) -> tuple[Tokens, Marks]:
        """(ids int32, marks uint8) from one token to another."""
        self._tokens.seek(4 * start)
        self._marks.seek(start)
        ids = np.fromfile(self._tokens, "<i4", end - start)
        return ids.astype(np.int32, copy=False), np.fromfile(self._marks, "u1", end - start)

    def close(self) -> None:
        self._tokens.close()
        self._marks.close()


def _checked(path: Path, wanted: int) -> BinaryIO:
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    total = 0
    while data := file.read(1 << 22):
        total = zlib.crc32(data, total)
    if total != wanted:
        file.close()
        raise ValueError(f"{path.name} was changed")
    file.seek(0)
    return file
