"""Token sequences in files: three .npy arrays each, mapped into memory when read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from forgellm.data.sequences import Sequences
from forgellm.domain.errors import ResumeMismatch
from forgellm.storage.files import atomic_path

Kind = TypeVar("Kind", bound=np.generic)

_TYPES: Mapping[str, type[np.generic]] = {"tokens": np.int32, "learned": np.bool_, "offsets": np.int64}
_BLOCK = 1 << 22


def write_sequences(folder: Path, name: str, sequences: Sequences) -> None:
    """Write NAME.tokens.npy, NAME.learned.npy and NAME.offsets.npy. Raises DiskFull, ReadOnly."""
    for part, kind in _TYPES.items():
        with atomic_path(folder / f"{name}.{part}.npy") as path, open(path, "wb") as file:
            _write_array(file, np.asarray(getattr(sequences, part), dtype=kind))


def read_sequences(folder: Path, name: str) -> Sequences:
    """Map the three files of `name` into memory. Raises ResumeMismatch where one is missing or broken."""
    return Sequences(
        tokens=_map(folder / f"{name}.tokens.npy", np.int32),
        learned=_map(folder / f"{name}.learned.npy", np.bool_),
        offsets=_map(folder / f"{name}.offsets.npy", np.int64),
    )


def hash_of(sequences: Iterable[Sequences], shaped_by: Mapping[str, object]) -> str:
    """sha256 over the bytes of the arrays and over the settings that shaped them."""
    digest = hashlib.sha256(repr(sorted(shaped_by.items())).encode())
    for one in sequences:
        for part, kind in _TYPES.items():
            array: npt.NDArray[Any] = np.ascontiguousarray(getattr(one, part), dtype=kind)
            digest.update(f"{part} {array.shape}\n".encode())
            digest.update(array.view(np.uint8).data)
    return digest.hexdigest()


def _write_array(file: io.BufferedWriter, array: npt.NDArray[np.generic]) -> None:
    """As np.save, but by way of write(2), so that a full disk is an OSError with its errno."""
    kind = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": array.shape})
    data = np.ascontiguousarray(array).view(np.uint8)
    for start in range(0, len(data), _BLOCK):
        file.write(data[start : start + _BLOCK].data)


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
