"""Where a model's logits come from: its output layer, found by listening and proven on a probe.

What comes before it is whatever the model does: the model itself runs, with a listener in the layer's place.
So nothing is assumed about an architecture but that one layer makes the logits and that what follows is a
factor and a soft cap. Where that is not so, the reason is told and logits are computed whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn

from forgellm.domain.device_failures import kind_of

_PROBE = 8
_BEYOND_ANY_CAP = 1e9
# A power of two, so that a factor is read without rounding.
_LINEAR = 2.0**-10

Forward = Callable[[], Any]


@dataclass(frozen=True)
class After:
    """What a model makes of its output layer's values z: cap tanh(scale z / cap), or scale z."""

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, z: mx.array) -> mx.array:
        scaled = z if self.scale == 1.0 else z * self.scale
        return scaled if self.cap is None else mx.tanh(scaled / self.cap) * self.cap

    @property
    def straight(self) -> bool:
        """Whether the values are the logits."""
        return self.scale == 1.0 and self.cap is None

    def slope(self, logits: mx.array) -> mx.array:
        """The derivative by z where the logits are these."""
        if self.cap is None:
            return mx.full(logits.shape, self.scale, logits.dtype)
        return self.scale * (1.0 - mx.square(logits / self.cap))


@dataclass(frozen=True)
class OutputLayer:
    """The layer `module`. `owner` calls it by `name`, an attribute, or it is an embedding's `as_linear`."""

    owner: nn.Module
    name: str
    module: nn.Module
    vocabulary: int
    after: After = After()

    def hidden(self, forward: Forward) -> mx.array:
        """What `forward`, which runs the model, hands to this layer: [rows, width, hidden]."""
        heard: list[mx.array] = []

        def listen(x: mx.array) -> mx.array:
            heard.append(x)
            return x

        with _in_place_of(self.owner, self.name, listen):
            forward()
        return heard[-1]

    def logits(self, hidden: mx.array) -> mx.array:
        """The model's logits where the layer is handed `hidden`."""
        return self.after(self.values(hidden))

    def values(self, hidden: mx.array) -> mx.array:
        """The layer's own values, before what comes after them."""
        if self.module is self.owner:
            kind: Any = type(self.module)
            values: mx.array = kind.as_linear(self.module, hidden)
        else:
            values = self.module(hidden)
        return values

    @property
    def learns(self) -> bool:
        """Whether a weight of this layer is trained."""
        return bool(_leaves(self.module.trainable_parameters()))


@dataclass(frozen=True)
class Unproven:
    """Why no output layer could be told apart."""

    reason: str


Layer = OutputLayer | Unproven | None
"""What is known of a model's output layer; where it is None, that is found out."""


def output_layer(model: nn.Module) -> OutputLayer | Unproven:
    """The model's output layer, proven on a few tokens; dropout and random state are left as they are."""
    training = model.training
    model.eval()
    try:
        return _proven(model, mx.arange(_PROBE)[None] % 3)
    except (ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:
        if kind_of(error) is not None:
            raise
        # Listening hands the model what is no logits; one that looks closer is trained as it is.
        return Unproven(f"the model cannot be listened to: {error}")
    finally:
        model.train(training)


def _proven(model: nn.Module, tokens: mx.array) -> OutputLayer | Unproven:
    logits = model(tokens)
    if not isinstance(logits, mx.array) or logits.shape[:-1] != tokens.shape:
        return Unproven("the model gives more than logits")
    heard = _called(model, tokens, logits.shape[-1])
    if len(heard) != 1:
        return Unproven(f"{len(heard)} layers could be the output layer")
    layer = heard[0]
    found = OutputLayer(layer.owner, layer.name, layer.module, layer.vocabulary, _after(model, layer, tokens))
    computed = found.logits(found.hidden(lambda: model(tokens))).astype(mx.float32)
    allowed = 8 * mx.finfo(logits.dtype).eps * mx.abs(logits).max()
    if not (mx.abs(computed - logits.astype(mx.float32)).max() <= allowed).item():
        return Unproven("what follows the output layer is neither a factor nor a soft cap")
    return found


def _called(model: nn.Module, tokens: mx.array, vocabulary: int) -> list[OutputLayer]:
    """The layers with a value for every token of the vocabulary that are called, once for each call."""
    called = []
    for layer in _candidates(model, vocabulary):
        count = 0

        def listen(x: mx.array, layer: OutputLayer = layer) -> mx.array:
            nonlocal count
            count += 1
            return layer.values(x)

        with _in_place_of(layer.owner, layer.name, listen):
            model(tokens)
        called += [layer] * count
    return called


def _candidates(model: nn.Module, vocabulary: int) -> list[OutputLayer]:
    """Linear layers and embeddings of so many rows; a layer with factors hides the one inside it."""
    found: dict[str, OutputLayer] = {}
    modules = dict(model.named_modules())
    for path in sorted(modules):
        module = modules[path]
        if _rows(module) != vocabulary or any(path.startswith(f"{outer}.") for outer in found):
            continue
        if hasattr(module, "as_linear"):
            found[path] = OutputLayer(module, "as_linear", module, vocabulary)
        else:
            parent, _, name = path.rpartition(".")
            found[path] = OutputLayer(modules[parent], name, module, vocabulary)
    return list(found.values())


def _rows(module: nn.Module) -> int | None:
    base: Any = module.get("linear") or module.get("embedding") or module
    weight = base.get("weight") if isinstance(base, nn.Module) else None
    return weight.shape[0] if isinstance(weight, mx.array) and weight.ndim == 2 else None


def _after(model: nn.Module, layer: OutputLayer, tokens: mx.array) -> After:
    """What the model makes of values it is given in the layer's place; only a guess until it is proven."""

    def made_of(value: float) -> float:
        values = mx.full((*tokens.shape, layer.vocabulary), value)
        with _in_place_of(layer.owner, layer.name, lambda _: values):
            made: mx.array = model(tokens)[0, -1, 0]
            return cast(float, made.item())

    beyond = made_of(_BEYOND_ANY_CAP)
    scale = made_of(_LINEAR) / _LINEAR
    return After(scale, beyond if abs(beyond) < _BEYOND_ANY_CAP / 1e3 else None)


@contextmanager
def _in_place_of(owner: nn.Module, name: str, layer: Callable[[mx.array], mx.array]) -> Iterator[None]:
    """Let `owner.name` be `layer`. The tree of modules and weights is untouched: Python looks here first."""
    attributes = vars(owner)
    attributes[name] = layer
    try:
        yield
    finally:
        del attributes[name]


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    if isinstance(tree, list):
        return [leaf for value in tree for leaf in _leaves(value)]
    return [tree]
