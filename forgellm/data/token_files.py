"""Token sequences in files: three .npy arrays each, written row after row, mapped into memory when read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from forgellm.data.sequences import Learned, Sequences, Tokens
from forgellm.domain.errors import ResumeMismatch
from forgellm.storage.files import atomic_path

Kind = TypeVar("Kind", bound=np.generic)

_TYPES: Mapping[str, type[np.generic]] = {"tokens": np.int32, "learned": np.bool_, "offsets": np.int64}
_BLOCK = 1 << 22
_WAITING = 1 << 18


class SequencesWriter:
    """Takes rows one after the other; counts them, their tokens, those learned, and the longest."""

    def __init__(self, files: Mapping[str, BinaryIO]) -> None:
        self._arrays = {part: _ArrayWriter(file, _TYPES[part]) for part, file in files.items()}
        self._waiting: list[tuple[Tokens, Learned]] = []
        self._ends: list[int] = [0]
        self._held = 0
        self.count = self.tokens = self.learned = self.longest = 0

    def add(self, ids: Tokens, learned: Learned) -> None:
        """The next row; its first token loses its place as a target."""
        mask = learned.copy()
        mask[:1] = False
        self._waiting.append((ids, mask))
        self.count += 1
        self.tokens += len(ids)
        self.longest = max(self.longest, len(ids))
        self._ends.append(self.tokens)
        self._held += len(ids)
        if self._held >= _WAITING:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the files and bring their headers up to date."""
        if self._waiting:
            learned = np.concatenate([mask for _, mask in self._waiting])
            self.learned += int(learned.sum())
            self._arrays["tokens"].add(np.concatenate([ids for ids, _ in self._waiting]))
            self._arrays["learned"].add(learned)
        self._arrays["offsets"].add(np.array(self._ends, np.int64))
        self._waiting, self._ends, self._held = [], [], 0

    def finish(self) -> None:
        """Write what is left; the files are whole then."""
        self.flush()
        for array in self._arrays.values():
            array.finish()


@contextmanager
def writing_sequences(folder: Path, name: str) -> Iterator[SequencesWriter]:
    """Write NAME.tokens.npy, NAME.learned.npy and NAME.offsets.npy. Raises DiskFull, ReadOnly."""
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for part in _TYPES:
            path = stack.enter_context(atomic_path(folder / f"{name}.{part}.npy"))
            files[part] = stack.enter_context(open(path, "wb"))
        writer = SequencesWriter(files)
        yield writer
        writer.finish()


def read_sequences(folder: Path, name: str) -> Sequences:
    """Map the three files of `name` into memory. Raises ResumeMismatch where one is missing or broken."""
    return Sequences(
        tokens=_map(folder / f"{name}.tokens.npy", np.int32),
        learned=_map(folder / f"{name}.learned.npy", np.bool_),
        offsets=_map(folder / f"{name}.offsets.npy", np.int64),
    )


def remove_sequences(folder: Path, name: str) -> None:
    """Remove the three files of `name`."""
    for part in _TYPES:
        (folder / f"{name}.{part}.npy").unlink(missing_ok=True)


def hash_of(folder: Path, names: Iterable[str], shaped_by: Mapping[str, object]) -> str:
    """sha256 over the arrays of sequences and over the settings that shaped them.

    They are read, not mapped. Raises ResumeMismatch where a file is missing or broken.
    """
    digest = hashlib.sha256(repr(sorted(shaped_by.items())).encode())
    for name in names:
        for part, kind in _TYPES.items():
            path = folder / f"{name}.{part}.npy"
            count = len(_map(path, kind))
            digest.update(f"{part} {(count,)}\n".encode())
            with open(path, "rb") as file:
                file.seek(-count * np.dtype(kind).itemsize, 2)
                while data := file.read(_BLOCK):
                    digest.update(data)
    return digest.hexdigest()


class _ArrayWriter:
    """One .npy file whose length is known only at its end; numpy leaves room for that in the header."""

    def __init__(self, file: BinaryIO, kind: type[np.generic]) -> None:
        self._file = file
        self._kind = np.dtype(kind)
        self._count = 0
        self._header()

    def add(self, values: npt.NDArray[np.generic]) -> None:
        data = np.ascontiguousarray(values, self._kind).view(np.uint8)
        # By way of write(2), so that a full disk is an OSError with its errno.
        for start in range(0, len(data), _BLOCK):
            self._file.write(data[start : start + _BLOCK].data)
        self._count += len(values)

    def finish(self) -> None:
        self._file.seek(0)
        self._header()
        self._file.flush()

    def _header(self) -> None:
        shape = (self._count,)
        described = {
            "descr": np.lib.format.dtype_to_descr(self._kind),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, described)


def _map(path: Path, kind: type[Kind]) -> npt.NDArray[Kind]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path, "is missing or cut off") from error
    if array.dtype != kind or array.ndim != 1:
        raise damaged(path, "does not hold what it should")
    return np.asarray(array)


def damaged(path: Path, reason: str) -> ResumeMismatch:
    """The error for a corpus file that is not as this run wrote it."""
    return ResumeMismatch(
        f"the run's corpus file {path.name} {reason}",
        details={"path": str(path)},
        suggestion="The run's corpus was changed, so the run cannot go on exactly: start a new one.",
    )
