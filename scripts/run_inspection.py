"""What must hold of a training run's folder at any instant, whatever was done to its worker, and what makes
two runs of one spec equal. Reads files only; `kill_storm` and the tests of faults use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.metrics import series
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import events_path, read_events
from forgellm.storage.files import read_json_lines
from forgellm.storage.runs import workspace_of

CURVES = ("training_loss", "validation_loss", "learning_rate", "gradient_norm", "trained_tokens")


def violations(folder: Path) -> list[str]:
    """What is wrong with a run's checkpoints and events; nothing, at any instant."""
    return [*_checkpoint_violations(folder), *_event_violations(folder)]


def usable(folder: Path) -> list[Checkpoint]:
    """The checkpoints without a problem, best first."""
    return [c for c in read_checkpoints(folder) if c.problem is None]


def differences(reference: Path, folder: Path) -> list[str]:
    """In what a finished run differs from another of the same spec; equal runs are equal bit for bit."""
    ours, theirs = read_events(folder), read_events(reference)
    found = [f"{key} differs" for key in CURVES if series(ours, key) != series(theirs, key)]
    if not series(theirs, "training_loss"):
        found.append("the reference has no training loss")
    if _ranking(folder) != _ranking(reference):
        found.append("the ranked checkpoints differ")
    return found


def repeated(folder: Path) -> list[int]:
    """How many iterations each resumption had to repeat: what had been lost since the last state."""
    counts, reached = [], 0
    for event in read_events(folder):
        if event["type"] == "train":
            reached = int(str(event["iteration"]))
        elif event["type"] == "resumed":
            start = int(str(event["iteration"]))
            counts.append(reached - start)
            reached = start
    return counts


def _ranking(folder: Path) -> list[tuple[object, ...]]:
    return [(c.rank, c.iteration, c.validation_loss, c.sha256, c.problem) for c in read_checkpoints(folder)]


def _checkpoint_violations(folder: Path) -> Iterator[str]:
    root = workspace_of(folder).root
    for checkpoint in read_checkpoints(folder):
        name = f"checkpoint {checkpoint.iteration}"
        if checkpoint.problem is None:
            yield from (
                f"{name}: {fault}" for fault in _weight_faults(root / checkpoint.path, checkpoint.sha256)
            )
        else:
            yield f"{name}: {checkpoint.problem}"
    best = folder / "adapters.safetensors"
    if best.exists():
        yield from (f"{best.name}: {fault}" for fault in _weight_faults(best, None))


def _weight_faults(path: Path, sha256: str | None) -> Iterator[str]:
    """What is wrong with a file of weights, found out without the product's own reader."""
    data = path.read_bytes()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        yield "its hash is not the recorded one"
    try:
        weights = load_file(path)
    except SafetensorError as error:
        yield f"it does not load: {error}"
        return
    if not weights:
        yield "it is empty"
    if not all(np.isfinite(value).all() for value in weights.values()):
        yield "it is not finite"


def _event_violations(folder: Path) -> Iterator[str]:
    numbers = [record.get("seq") for record in read_json_lines(events_path(folder)).records]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the events are not numbered 1 to {len(numbers)} in order"
