"""PiSSA (Meng, Wang and Zhang 2024, arXiv 2404.02948): factors that begin at the largest singular triplets.

With W = U S V^T and the first r triplets, scale A0 B0 is that part of W, and training goes on from A = A0 and
B = B0 over the residual W - scale A0 B0. The residual is never written into the base: a layer computes
W x + scale (x A B - x A0 B0), which is the same function, and what is saved is that very difference as an
ordinary adapter of rank 2 r for the base as it is. Which runs begin so is decided by the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten
from mlx_lm.tuner.lora import LoRALinear

from forgellm.domain.errors import InvalidField
from forgellm.training.adapters import (
    Weights,
    is_quantized,
    read_weights,
    save_weights,
    trainable_weights,
)

INITIAL = "initial_factors.safetensors"
"""Kept in a run's folder: what a resumed run takes its differences from has to be the same, bit for bit."""

_EXACT = 512
"""Up to this size of a matrix's smaller side all its triplets are computed, beyond it only the largest."""
_BESIDE = 16
_MOST_ROUNDS = 60
_SETTLED = 1e-6


class PissaLinear(nn.Module):
    """A linear layer whose factors begin at A0 [in, r] and B0 [r, out], which stay beside them, frozen."""

    def __init__(self, linear: nn.Module, lora_a: mx.array, lora_b: mx.array, *, scale: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.linear = linear
        self.scale = scale
        self.lora_a, self.lora_b = lora_a, lora_b
        self.initial_a, self.initial_b = lora_a, lora_b
        self.freeze(recurse=False, keys=["initial_a", "initial_b"])

    def __call__(self, x: mx.array) -> mx.array:
        # At the first step the two products are the same bits, so their difference is 0 in any type.
        learned = (x @ self.lora_a) @ self.lora_b - (x @ self.initial_a) @ self.initial_b
        y: mx.array = self.linear(x)
        return y + (self.scale * learned).astype(x.dtype)


def begin_at_principal(model: nn.Module, folder: Path, *, attend: Callable[[], None]) -> None:
    """Let every low-rank layer of an attached model begin at the principal factors of its matrix.

    They are found once and kept in `folder`, a run's; `attend` is called before each matrix, and what it
    raises ends the search. Raises InvalidField where the base is quantized or a layer is not a plain matrix.
    """
    layers = [(name, module) for name, module in model.named_modules() if "lora_a" in module]
    _check(model, layers)
    path = folder / INITIAL
    initial = read_weights(path) if path.exists() else {}
    for name, layer in layers if not initial else ():
        attend()
        rank = layer.lora_a.shape[1]
        factors = principal_factors(layer.linear.weight, rank, scale=layer.scale)
        initial[f"{name}.lora_a"], initial[f"{name}.lora_b"] = factors
        mx.eval(*factors)
    if not path.exists():
        save_weights(path, initial)
    changed = [
        (name, PissaLinear(m.linear, initial[f"{name}.lora_a"], initial[f"{name}.lora_b"], scale=m.scale))
        for name, m in layers
    ]
    model.update_modules(tree_unflatten(changed))


def adapter_weights(model: nn.Module) -> Weights:
    """What learns in the form that goes with the base as it is: scale (A B - A0 B0) is [A, A0] [B; -B0]."""
    weights = trainable_weights(model)
    for name, layer in model.named_modules():
        if isinstance(layer, PissaLinear):
            both = mx.concatenate([layer.lora_a, layer.initial_a], axis=1)
            weights[f"{name}.lora_a"] = both
            weights[f"{name}.lora_b"] = mx.concatenate([layer.lora_b, -layer.initial_b], axis=0)
    return weights


def principal_factors(weight: mx.array, rank: int, *, scale: float) -> tuple[mx.array, mx.array]:
    """A0 [in, rank] and B0 [rank, out] in float32 of a weight [out, in]: scale A0 B0 is the sum of its first
    `rank` singular triplets, transposed, and both have the same share of the singular values."""
    u, s, vt = _triplets(weight.astype(mx.float32), rank)
    root = mx.sqrt(s / scale)
    return vt.T * root, root[:, None] * u.T


def _triplets(weight: mx.array, rank: int) -> tuple[mx.array, mx.array, mx.array]:
    if min(weight.shape) > _EXACT:
        return largest_triplets(weight, rank)
    u, s, vt = mx.linalg.svd(weight, stream=mx.cpu)
    return u[:, :rank], s[:rank], vt[:rank]


def largest_triplets(weight: mx.array, rank: int) -> tuple[mx.array, mx.array, mx.array]:
    """The first `rank` triplets by subspace iteration, from a fixed draw, until the values stand still."""
    count = min(rank + _BESIDE, *weight.shape)
    basis = mx.random.normal((weight.shape[1], count), key=mx.random.key(0))
    before = mx.zeros(rank)
    for _ in range(_MOST_ROUNDS):
        left = mx.linalg.qr(weight @ basis, stream=mx.cpu)[0]
        basis, triangle = mx.linalg.qr(weight.T @ left, stream=mx.cpu)
        # left^T W = triangle^T basis^T, whose triplets are those of the small triangle.
        inner, values, outer = mx.linalg.svd(triangle.T, stream=mx.cpu)
        moved = mx.abs(values[:rank] - before).max() / values[0]
        if float(moved.item()) <= _SETTLED:  # type: ignore[arg-type]
            break
        before = values[:rank]
    return (left @ inner)[:, :rank], values[:rank], (outer @ basis.T)[:rank]


def _check(model: nn.Module, layers: list[tuple[str, nn.Module]]) -> None:
    if is_quantized(model):
        raise InvalidField(
            "lora_init pissa needs whole weights, but the base model is quantized",
            details={"field": "lora_init"},
            suggestion="Use lora_init default, or a base that is not quantized.",
        )
    for name, layer in layers:
        shape = layer.linear.weight.shape if isinstance(layer, LoRALinear) else ()
        if not shape:
            raise InvalidField(
                f"lora_init pissa is not possible for {name} ({type(layer).__name__})",
                details={"field": "lora_init", "module": name},
                suggestion="Name the other modules in lora_keys, or use lora_init default.",
            )
        if layer.lora_a.shape[1] > min(shape):
            raise InvalidField(
                f"lora_rank is {layer.lora_a.shape[1]}, and {name} has only {min(shape)} singular values",
                details={"field": "lora_rank", "module": name},
                suggestion=f"Use at most {min(shape)} with lora_init pissa.",
            )
