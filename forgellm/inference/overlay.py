"""An adapter laid over a resident base, and taken off again, without loading the base a second time.

The base's own modules and weights are kept aside while the adapter's stand in their places, so that taking it
off gives back exactly the base, for LoRA, DoRA and whole weights alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from forgellm.domain.errors import ForgeError
from forgellm.storage.adapters import AdapterConfig
from forgellm.training.adapters import load_adapter

Modules = list[tuple[str, nn.Module]]
Weights = list[tuple[str, mx.array]]


@dataclass(frozen=True)
class Overlay:
    """What differs between the base and the base with its adapter, each of both in its two forms."""

    base_modules: Modules
    adapted_modules: Modules
    base_weights: Weights
    adapted_weights: Weights

    def put_on(self, model: nn.Module) -> None:
        """Make `model` answer with the adapter."""
        _place(model, self.adapted_modules, self.adapted_weights)

    def take_off(self, model: nn.Module) -> None:
        """Make `model` the base again."""
        _place(model, self.base_modules, self.base_weights)


def lay(model: nn.Module, weights_path: Path, config: AdapterConfig) -> Overlay:
    """Load an adapter onto the base `model`; the adapter is on afterwards.

    Raises InvalidAdapter or InvalidField where it does not fit; the base is whole again then.
    """
    modules, weights = dict(model.named_modules()), _weights(model)
    try:
        load_adapter(model, weights_path, config)
    except ForgeError:
        _difference(model, modules, weights).take_off(model)
        raise
    model.eval()
    mx.eval(model.parameters())
    return _difference(model, modules, weights)


def _difference(model: nn.Module, modules: dict[str, nn.Module], weights: dict[str, mx.array]) -> Overlay:
    now = dict(model.named_modules())
    replaced = [name for name, module in modules.items() if now.get(name) is not module]
    base_modules = [(name, modules[name]) for name in replaced]
    adapted_modules = [(name, now[name]) for name in replaced]
    inside = tuple(f"{name}." for name in replaced)
    changed = [
        (name, value)
        for name, value in _weights(model).items()
        if not name.startswith(inside) and weights.get(name) is not value
    ]
    return Overlay(base_modules, adapted_modules, [(name, weights[name]) for name, _ in changed], changed)


def _weights(model: nn.Module) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def _place(model: nn.Module, modules: Modules, weights: Weights) -> None:
    if modules:
        model.update_modules(tree_unflatten(modules))
    if weights:
        model.update(tree_unflatten(weights))
