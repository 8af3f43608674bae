"""Checkpoint files: their names, their sidecars, and whether what is on the disk is what was measured.

Ranking and what to prune are rules of `domain.checkpoints`. Weights are hashed here, never loaded.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

from forgellm.domain.checkpoints import Checkpoint, rank, sidecar, to_prune
from forgellm.domain.errors import CheckpointNotFound, InvalidAdapter, RunNotFound
from forgellm.storage.files import read_json, storage_errors, write_json
from forgellm.storage.runs import workspace_of

HashOf = Callable[[Path], str]

# The sidecar is written last and removed first: weights without one are what a kill left of a save.
_SIDECAR = re.compile(r"(\d{7,})_adapters\.json")


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """`0000300_adapters.safetensors` in the run's folder."""
    return folder / f"{iteration:07d}_adapters.safetensors"


def sidecar_path(folder: Path, iteration: int) -> Path:
    """The .json beside a checkpoint, which makes it one."""
    return checkpoint_path(folder, iteration).with_suffix(".json")


def write_sidecar(folder: Path, checkpoint: Checkpoint) -> None:
    """Record what was measured on a checkpoint whose weights are in place. Raises DiskFull, ReadOnly."""
    write_json(sidecar_path(folder, checkpoint.iteration), sidecar(checkpoint))


def read_checkpoints(folder: Path, *, verify: bool = True) -> list[Checkpoint]:
    """Every checkpoint of the run, ranked; those with a `problem` last, without a rank.

    With `verify` every file is hashed, which takes about a second per gigabyte, but in one process only once
    until it changes. Paths are relative to the workspace. Raises RunNotFound where the folder has gone.
    """
    known, place = _iterations(folder), workspace_of(folder).relative(folder)
    hash_of = _known_sha256 if verify else None
    return rank([_read(folder, iteration, place=place, hash_of=hash_of) for iteration in known])


def find_checkpoint(folder: Path, iteration: int) -> Checkpoint:
    """One checkpoint whose file matches its hash, computed now; its rank is not known here.

    Raises CheckpointNotFound, which lists what there is, and InvalidAdapter.
    """
    known = _iterations(folder)
    if iteration not in known:
        raise CheckpointNotFound(
            f"the run has no checkpoint at iteration {iteration}",
            details={"iteration": iteration, "available": known},
            suggestion="Choose one of: " + ", ".join(map(str, known)) + "." if known else "It has none yet.",
        )
    place = workspace_of(folder).relative(folder)
    found = _read(folder, iteration, place=place, hash_of=sha256_of)
    if found.problem is not None:
        raise InvalidAdapter(
            f"the checkpoint at iteration {iteration} cannot be used: {found.problem}",
            details={"iteration": iteration, "path": found.path},
            suggestion="Choose another checkpoint of the run.",
        )
    return found


def check_intact(path: Path) -> None:
    """That an adapter file is what was measured, where its folder says: a numbered checkpoint matches its own
    sidecar, adapters.safetensors that of some checkpoint. Raises InvalidAdapter.
    """
    recorded = read_checkpoints(path.parent, verify=False)
    known = {c.sha256 for c in recorded if path.name in ("adapters.safetensors", Path(c.path).name)}
    if recorded and sha256_of(path) not in known:
        raise InvalidAdapter(
            f"{path.name} in {path.parent.name} does not match its hash: it was changed or damaged",
            details={"path": str(path)},
            suggestion="Choose another checkpoint of the run.",
        )


def prune(folder: Path, keep: int | None) -> list[int]:
    """Delete the checkpoints that need not be kept; answers their iterations. Raises ReadOnly."""
    surplus = to_prune(read_checkpoints(folder, verify=False), keep) if keep is not None else []
    for checkpoint in surplus:
        path = checkpoint_path(folder, checkpoint.iteration)
        with storage_errors(path):
            sidecar_path(folder, checkpoint.iteration).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    return [checkpoint.iteration for checkpoint in surplus]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _known_sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of_version(path, (status.st_size, status.st_mtime_ns, status.st_ino))


# A page that shows checkpoints asks for them again and again, and they are gigabytes: the hash is remembered
# for as long as the file looks the same. Who is about to use a checkpoint does not come here, for a bit that
# flips on the disk changes no date.
@lru_cache(maxsize=4096)
def _sha256_of_version(path: Path, _version: tuple[int, int, int]) -> str:
    return sha256_of(path)


def _iterations(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError as error:
        raise RunNotFound(
            f"the run in {folder.name} was deleted or moved meanwhile",
            details={"run": folder.name},
            suggestion="`forgellm runs list` shows every run.",
        ) from error
    return sorted({int(match[1]) for match in map(_SIDECAR.fullmatch, names) if match})


def _read(folder: Path, iteration: int, *, place: str, hash_of: HashOf | None) -> Checkpoint:
    """The checkpoint as its sidecar says; `place` is its folder, and without `hash_of` nothing is hashed."""
    path = checkpoint_path(folder, iteration)
    place = f"{place}/{path.name}"
    try:
        recorded = _parse_sidecar(read_json(sidecar_path(folder, iteration)), iteration, place=place)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        return _unusable(iteration, place, f"its sidecar cannot be read: {error}")
    problem = recorded.problem or _problem(path, recorded, hash_of)
    return recorded if problem is None else _unusable(iteration, place, problem)


def _problem(path: Path, recorded: Checkpoint, hash_of: HashOf | None) -> str | None:
    try:
        size = path.stat().st_size
        if size != recorded.size_bytes:
            return f"its file has {size} bytes instead of {recorded.size_bytes}"
        if hash_of is not None and hash_of(path) != recorded.sha256:
            return "its file does not match its hash: it was changed or damaged"
    except FileNotFoundError:
        return "its file is missing"
    except OSError as error:
        return f"its file cannot be read: {error.strerror}"
    return None


def _parse_sidecar(value: object, iteration: int, *, place: str) -> Checkpoint:
    values = cast("Mapping[str, object]", value)
    size, pairs = values["size_bytes"], values["sequence_losses"]
    if values["iteration"] != iteration or type(size) is not int or not isinstance(pairs, list):
        raise ValueError("it does not belong to this file")
    loss, general = _loss(values["validation_loss"]), _loss(values["general_validation_loss"])
    finite = values["finite"] is True and all(math.isfinite(known) for known in (loss, general) if known)
    return Checkpoint(
        iteration=iteration,
        path=place,
        sha256=str(values["sha256"]),
        size_bytes=size,
        validation_loss=loss,
        general_validation_loss=general,
        sequence_losses=tuple((float(total), int(count)) for total, count in pairs),
        problem=None if finite else "its weights are not finite",
    )


def _loss(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a loss")
    return float(value)


def _unusable(iteration: int, place: str, problem: str) -> Checkpoint:
    return Checkpoint(
        iteration=iteration, path=place, sha256="", size_bytes=0, validation_loss=None, problem=problem
    )
