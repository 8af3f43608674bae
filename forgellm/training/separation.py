"""Sequences that share a row without seeing each other, and the proof that a model lets them.

Attention is block-diagonal. Positions go on along the row: where they are rotations, attention depends on
their differences alone, so that a sequence further down a row gets what it gets at its beginning, up to the
rounding of the angles. A model that counts positions otherwise, or carries a state along the row, cannot
be packed. Which one it is cannot be told from its name, so it is tried.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from forgellm.storage.files import read_json, write_json
from forgellm.training.chunked_loss import Chunking, measured_losses
from forgellm.training.losses import token_losses
from forgellm.training.output_layer import Layer, OutputLayer, output_layer

Losses = np.ndarray[Any, np.dtype[np.float64]]

FILE = "packing.json"

_SHARES = {mx.float32: 1e-3}
_SHARE = 0.1
"""How much of what its neighbours would change in a loss may be left of them, by the type of the logits.
It is rounding (measured: at most 3e-6 in float32, 0.03 in bfloat16), and what is less is lost in it."""


class SharedRow:
    """Stands where a block expects its cache: keeps nothing, and says who sees whom.

    `segments` int32 [rows, width] numbers the sequences of each row.
    """

    offset = 0

    def __init__(self, segments: mx.array) -> None:
        self._segments = segments

    def make_mask(self, length: int, return_array: bool = False, window_size: int | None = None) -> mx.array:
        """True where a token (third axis) sees another (fourth), bool [rows, 1, length, length]."""
        same = self._segments[:, None, :, None] == self._segments[:, None, None, :]
        causal: mx.array = create_causal_mask(length, window_size=window_size)
        return same & causal

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        return keys, values


@dataclass(frozen=True)
class Separation:
    """Whether rows of `width` tokens can be shared; `reason` says why not, else what was measured."""

    width: int
    exact: bool
    reason: str


def shared_rows(model: nn.Module, segments: mx.array) -> list[SharedRow]:
    """What `model` takes as its cache where rows hold several sequences."""
    return [SharedRow(segments)] * len(make_prompt_cache(model))


def decided(folder: Path, model: nn.Module, *, width: int, vocabulary: int) -> Separation:
    """What `tried` says of the base of the run in `folder`: found once, for a resumed run goes on alike."""
    path = folder / FILE
    if path.exists():
        return Separation(**read_json(path))  # type: ignore[arg-type]
    found = tried(model, width=width, vocabulary=vocabulary)
    write_json(path, asdict(found))
    return found


def tried(model: nn.Module, *, width: int, vocabulary: int) -> Separation:
    """Compare the losses of random sequences alone and three in a row: in one row of `width` tokens, and in
    two of a half, which differ, because some models take one mask for all rows.
    """
    kinds = {type(cache).__name__ for cache in make_prompt_cache(model)}
    strange = kinds - {KVCache.__name__, RotatingKVCache.__name__}
    if strange:
        reason = f"its blocks carry more than keys and values ({', '.join(sorted(strange))})"
        return Separation(width, False, reason)
    model.eval()
    layer = output_layer(model)
    try:
        found = [_changes(model, layer, width=width // n, rows=n, vocabulary=vocabulary) for n in (1, 2)]
        dtype = model(mx.zeros((1, 1), mx.int32)).dtype
    except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        reason = f"it does not take our mask ({type(error).__name__}: {error})"
        return Separation(width, False, reason)
    change, seen = np.array(found).max(axis=0)
    said = f"its losses change by {change:.1e} nats per token; by {seen:.1e} if sequences see each other"
    # Not "greater": a loss that is not a number proves nothing.
    return Separation(width, bool(change <= seen * _SHARES.get(dtype, _SHARE)), said)


def _changes(
    model: nn.Module, layer: Layer, *, width: int, rows: int, vocabulary: int
) -> tuple[float, float]:
    """How much losses change in shared rows, and in ones whose sequences see each other."""
    lengths = [width // 2, width // 3, width - width // 2 - width // 3]
    layouts = [lengths, lengths[::-1]][:rows]
    ids = mx.array(np.random.default_rng(0).integers(0, vocabulary, (rows, width), dtype=np.int32))
    segments = mx.array(np.array([np.repeat([1, 2, 3], layout) for layout in layouts]))
    together = _losses(model, layer, ids, cache=shared_rows(model, segments[:, :-1]))
    seeing = _losses(model, layer, ids)
    changes = []
    for row, layout in enumerate(layouts):
        for length, end in zip(layout, np.cumsum(layout).tolist(), strict=True):
            alone = _losses(model, layer, ids[row : row + 1, end - length : end])[0]
            own = (row, slice(end - length, end - 1))
            changes.append([np.abs(losses[own] - alone).mean() for losses in (together, seeing)])
    change, seen = np.array(changes).max(axis=0)
    return float(change), float(seen)


def _losses(model: nn.Module, layer: Layer, ids: mx.array, *, cache: list[SharedRow] | None = None) -> Losses:
    """The loss of every token of rows of `ids` but the first, where possible without whole logits."""
    targets = ids[:, 1:]
    if isinstance(layer, OutputLayer):
        hidden = layer.hidden(lambda: model(ids[:, :-1], cache=cache))
        states = hidden.reshape(-1, hidden.shape[-1])
        losses = measured_losses(states, targets.reshape(-1), Chunking(layer)).reshape(targets.shape)
    else:
        losses = token_losses(model(ids[:, :-1], cache=cache), targets)
    mx.eval(losses)
    return np.array(losses, np.float64)
