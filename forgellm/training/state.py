"""The exact-resume state of a run: weights, optimiser, random state, place in the data, counters.

Taken on an iteration boundary and loaded before the step is compiled, it continues the run bit for bit on the
same machine; on a CPU as long as a C++ compiler is there or is not. The arrays go into
`state/NNNNNNN.safetensors`; `state/state.json` names that file and its hash and is renamed into place last,
so a kill at any moment leaves the previous state whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

from forgellm.domain.errors import ResumeMismatch
from forgellm.storage.checkpoints import sha256_of
from forgellm.storage.files import read_json, write_json
from forgellm.training.adapters import load_trainable, read_weights, save_weights, trainable_weights
from forgellm.training.batches import Cursor


@dataclass(frozen=True)
class Progress:
    """How far a run is: everything that is neither a weight nor an optimiser moment.

    `validation` and `general_validation` are (iteration, loss) pairs in order; `seconds` is time spent
    training; the fingerprints tie the state to the corpus and base model it was made with.
    """

    iteration: int = 0
    cursor: Cursor = field(default_factory=Cursor)
    trained_tokens: int = 0
    seconds: float = 0.0
    validation: tuple[tuple[int, float], ...] = ()
    corpus: str = ""
    base: str = ""


def save_state(folder: Path, progress: Progress, *, model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Replace the run's state by this one; the older file is removed only when the new one is in place."""
    states = folder / "state"
    states.mkdir(exist_ok=True)
    path = _free_name(states, progress.iteration)
    arrays = {f"weights.{name}": value for name, value in trainable_weights(model).items()}
    moments: Any = tree_flatten(optimizer.state, destination={})
    arrays |= {f"optimizer.{name}": value for name, value in moments.items()}
    save_weights(path, arrays)
    manifest = asdict(progress) | {"random_key": random_key(), "file": path.name, "sha256": sha256_of(path)}
    write_json(states / "state.json", manifest)
    for older in states.glob("*.safetensors"):
        if older.name != path.name:
            older.unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress | None:
    """What state.json says, or None where there is no state yet. Raises ResumeMismatch if it is damaged."""
    path = folder / "state" / "state.json"
    if not path.exists():
        return None
    try:
        raw: Mapping[str, Any] = read_json(path)  # type: ignore[assignment]
        return Progress(
            iteration=int(raw["iteration"]),
            cursor=Cursor(**raw["cursor"]),
            trained_tokens=int(raw["trained_tokens"]),
            seconds=float(raw["seconds"]),
            validation=tuple((int(i), float(v)) for i, v in raw["validation"]),
            corpus=str(raw["corpus"]),
            base=str(raw["base"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _damaged(f"state.json cannot be read: {error}") from None


def restore(folder: Path, *, model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Load weights, optimiser and random state into an attached model and a fresh optimiser.

    Raises ResumeMismatch when the file does not match its hash, InvalidAdapter when it does not fit.
    """
    raw: Mapping[str, Any] = read_json(folder / "state" / "state.json")  # type: ignore[assignment]
    path = folder / "state" / str(raw["file"])
    if not path.is_file() or sha256_of(path) != raw["sha256"]:
        raise _damaged(f"{path.name} is missing or does not match its hash")
    arrays = read_weights(path)
    load_trainable(model, _with_prefix(arrays, "weights."), source=path.name)
    optimizer.state = tree_unflatten(list(_with_prefix(arrays, "optimizer.").items()))
    first, second = raw["random_key"]
    # mx.random.state cannot be assigned; a seed is its two words.
    mx.random.seed((int(first) << 32) | int(second))
    mx.eval(model.parameters(), optimizer.state)


def _free_name(states: Path, iteration: int) -> Path:
    """A file that state.json does not name.

    An iteration may be saved twice, and a kill or a full disk between file and manifest must leave the old
    pair whole.
    """
    manifest = states / "state.json"
    raw: Any = read_json(manifest) if manifest.exists() else {}
    name = f"{iteration:07d}.safetensors"
    return states / (f"{iteration:07d}_again.safetensors" if raw.get("file") == name else name)


def random_key() -> list[int]:
    """The two words of mlx's random state."""
    state: Any = mx.random.state
    return [int(word) for word in state[0].tolist()]


def _with_prefix(arrays: Mapping[str, mx.array], prefix: str) -> dict[str, mx.array]:
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}


def _damaged(reason: str) -> ResumeMismatch:
    return ResumeMismatch(
        f"the saved state cannot be used: {reason}",
        suggestion="Start a new run from the best checkpoint: give it as start_from.",
    )
