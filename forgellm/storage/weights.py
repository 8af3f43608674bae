"""Model weights on disk, judged by their safetensors headers alone: whole, and still the same ones.

Nothing is loaded. The format: https://huggingface.co/docs/safetensors (8 bytes of length, a JSON header,
then the tensors without a gap up to the end of the file).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
_LONGEST_HEADER = 100 * 2**20
_PART = re.compile(r"(.+)-\d{5}-of-(\d{5})\.safetensors")
_BLOCK = 65_536
_SAMPLES = 16


@dataclass(frozen=True)
class Tensor:
    """What a header says of a tensor: the type as safetensors names it (`BF16`), and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a model, as mlx-lm globs them, in order of their names."""
    return sorted(folder.glob("model*.safetensors"))


def weights_problem(folder: Path) -> str | None:
    """What is missing from or broken in the weights of a model, or None."""
    index = folder / INDEX
    wanted: dict[str, set[str]] = {}
    if index.is_file():
        shards = _shards(index)
        if shards is None:
            return f"{INDEX} is not an index of weights"
        wanted = shards
    names = sorted({*wanted, *_siblings(p.name for p in weight_files(folder))})
    if not names:
        return "it has no model.safetensors"
    problems = (file_problem(folder / name, wanted.get(name, set())) for name in names)
    return next((problem for problem in problems if problem), None)


def fingerprint(folder: Path) -> str:
    """A sha256 that tells one model from another: its config, and of each weight file the name, size,
    header and evenly spaced blocks. It does not read all bytes, so that 8 GB take no time.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weight_files(folder):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        for block in _sample(path):
            digest.update(block)
    return digest.hexdigest()


def tensors(path: Path) -> dict[str, Tensor] | None:
    """Name → form of every tensor in a weight file; None where it is no safetensors file."""
    header: Any = _header(path)
    try:
        return {
            name: Tensor(str(form["dtype"]), tuple(int(size) for size in form["shape"]))
            for name, form in header.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _siblings(names: Iterable[str]) -> Iterator[str]:
    """The names, and those of all parts where one is said to be a part of several."""
    for name in names:
        part = _PART.fullmatch(name)
        count = int(part[2]) if part else 0
        yield from (
            (f"{part[1]}-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)) if part else [name]
        )


def _shards(index: Path) -> dict[str, set[str]] | None:
    """File name → the tensors it must hold."""
    try:
        value = json.loads(index.read_bytes())
    except (ValueError, RecursionError):
        return None
    mapping = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(mapping, dict) or not mapping:
        return None
    shards: dict[str, set[str]] = {}
    for tensor, name in mapping.items():
        # A name with a folder in it would reach outside the model.
        if not isinstance(name, str) or Path(name).name != name:
            return None
        shards.setdefault(name, set()).add(tensor)
    return shards


def file_problem(path: Path, wanted: Collection[str] = ()) -> str | None:
    """What is wrong with one weight file, which must hold the tensors `wanted`, or None."""
    if not path.is_file():
        return f"{path.name} is missing"
    header = _header(path)
    if header is None:
        return f"{path.name} is not a safetensors file, or is cut off"
    end = _header_bytes(path) + max((_end(tensor) for tensor in header.values()), default=0)
    size = path.stat().st_size
    if size != end:
        return f"{path.name} has {size} bytes where its header says {end}"
    missing = sorted(set(wanted) - set(header))
    return f"{path.name} lacks the tensor {missing[0]}" if missing else None


def _header(path: Path) -> dict[str, object] | None:
    """Tensor name → its description, or None where the file has no readable header."""
    length = _header_bytes(path)
    if not 8 < length <= min(path.stat().st_size, _LONGEST_HEADER):
        return None
    with open(path, "rb") as file:
        data = file.read(length)[8:]
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict):
        return None
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _header_bytes(path: Path) -> int:
    """Where the tensors begin, by the first 8 bytes; 0 for a file too short to say."""
    with open(path, "rb") as file:
        start = file.read(8)
    return 8 + int(struct.unpack("<Q", start)[0]) if len(start) == 8 else 0


def _end(tensor: object) -> int:
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and isinstance(offsets[1], int):
        return offsets[1]
    return 0


def _sample(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        yield file.read(_header_bytes(path)) if size >= 8 else b""
        for n in range(_SAMPLES + 1):
            file.seek(max(0, size - _BLOCK) * n // _SAMPLES)
            yield file.read(_BLOCK)
