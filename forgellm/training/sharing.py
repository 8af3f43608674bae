"""One iteration on several machines: each takes some rows of every batch, and all make the same update.

The gradients are summed before they are clipped and applied, and every loss is scaled by the targets of the
whole iteration: the result is that of one machine with the whole batch, however long its rows are. The first
machine has the run: data, events, files. The others are sent what they need, and keep none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from forgellm.training.adapters import trainable_weights
from forgellm.training.batches import Batch
from forgellm.training.group import Group, Message
from forgellm.training.objectives import Loss
from forgellm.training.output_layer import OutputLayer, output_layer
from forgellm.training.state import random_key
from forgellm.training.stepper import Stepper, StepResult


class SharedStepper:
    """What the first machine updates with: as a `Stepper`, but the others compute their rows."""

    def __init__(self, group: Group, stepper: Stepper, model: nn.Module, optimizer: optim.Optimizer) -> None:
        self._group = group
        self._stepper = stepper
        self._model = model
        self._optimizer = optimizer
        self.share_state()

    def share_state(self) -> None:
        """Let all others have the weights that learn and the optimiser's state exactly as they are here."""
        self._group.send("state", arrays=list(_state(self._model, self._optimizer).values()))

    def update(
        self, batches: Sequence[Batch], learning_rate: float, *, meanwhile: Callable[[], object] | None = None
    ) -> StepResult:
        """Train on `batches` as one iteration, together; `meanwhile` is called while the others compute."""
        targets = sum(batch.targets for batch in batches)
        said = [_said(batch) for batch in batches]
        values = {
            "learning_rate": learning_rate,
            "scale": self._stepper.scale(targets),
            "batches": [(numbers, list(arrays)) for numbers, arrays in said],
            "random_key": random_key(),
        }
        self._group.send("step", values, [mx.array(one) for _, arrays in said for one in arrays.values()])
        if meanwhile is not None:
            meanwhile()
        loss, metrics, norm = _together(self._group, self._stepper, batches, values=values)
        return self._stepper.result(loss, metrics, targets=targets, norm=norm)


def follow(
    group: Group,
    model: nn.Module,
    optimizer: optim.Optimizer,
    *,
    loss: Loss,
    max_grad_norm: float | None,
    compiled: bool,
) -> None:
    """What every other machine does until the first one ends. `model` has an adapter of the same form.

    Raises HostLost when another one is gone.
    """
    optimizer.init(model.trainable_parameters())
    found = output_layer(model)
    layer = found if isinstance(found, OutputLayer) else None
    stepper = None
    while (message := group.receive()).kind != "end":
        if message.kind == "state":
            _put_state(model, optimizer, message.arrays)
            stepper = stepper or Stepper(
                model, optimizer, max_grad_norm=max_grad_norm, compiled=compiled, loss=loss, layer=layer
            )
        elif stepper is not None:
            mx.random.seed(_seed(message.values["random_key"], group.rank))
            _together(group, stepper, _batches(message), values=message.values)


def _together(
    group: Group, stepper: Stepper, batches: Sequence[Batch], *, values: Mapping[str, Any]
) -> tuple[float, dict[str, float], float | None]:
    """This machine's rows, the sum over all machines, the same update on each: loss, metrics, norm."""
    mine = [_share(batch, rank=group.rank, size=group.size) for batch in batches]
    # Who has no row in some batch computes another's, and adds nothing.
    scales = [values["scale"] if has_some else 0.0 for _, has_some in mine]
    loss, metrics, gradients = stepper.gradients([share for share, _ in mine], scales)
    found: Any = tree_flatten(gradients, destination={})
    leaves: dict[str, mx.array] = dict(sorted(found.items()))
    said = mx.stack([loss, *metrics.values()]).astype(mx.float32)
    names, mine_of_all = list(leaves), [said, *leaves.values()]
    # Else what is not summed yet would live until the update is made.
    del gradients, found, leaves
    summed, *arrays = group.total(mine_of_all)
    del mine_of_all
    norm = stepper.apply(tree_unflatten(list(zip(names, arrays, strict=True))), values["learning_rate"])
    first, *further = map(float, np.array(summed))
    return first, dict(zip(metrics, further, strict=True)), norm


def _share(batch: Batch, *, rank: int, size: int) -> tuple[Batch, bool]:
    """A machine's rows of a batch, and whether it has any. The two rows of a pair stay together."""
    unit = 1 if batch.reference is None else 2
    items = len(batch.tokens) // unit
    first, end = (-(-items * place // size) * unit for place in (rank, rank + 1))
    _, arrays = _said(batch)
    has_some = end > first
    rows: Any = {name: array[first:end] if has_some else array[:unit] for name, array in arrays.items()}
    return replace(batch, **rows), has_some


def _said(batch: Batch) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """The numbers and the arrays [rows, …] of a batch, as far as it has them, by name."""
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    return {name: value for name, value in found.items() if isinstance(value, int)}, arrays


def _batches(message: Message) -> list[Batch]:
    """The batches that `_said` took apart."""
    rest = iter(message.arrays)
    said: Any = message.values["batches"]
    found: list[Batch] = []
    for numbers, names in said:
        arrays: Any = {name: np.array(next(rest)) for name in names}
        found.append(Batch(**numbers, **arrays))
    return found


def _state(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, mx.array]:
    moments: Any = tree_flatten(optimizer.state, destination={})
    weights = {f"weights.{name}": value for name, value in trainable_weights(model).items()}
    # A tree that was read from a file has its leaves in another order than one that was built.
    return dict(sorted((weights | {f"optimizer.{name}": value for name, value in moments.items()}).items()))


def _put_state(model: nn.Module, optimizer: optim.Optimizer, arrays: Sequence[mx.array]) -> None:
    """In place: a compiled step holds on to the trees that it was built with."""
    names = list(_state(model, optimizer))
    for name, value in zip(names, arrays, strict=True):
        kind, _, path = name.partition(".")
        if kind == "weights":
            model.load_weights([(path, value)], strict=False)
            continue
        *folders, leaf = path.split(".")
        node: Any = optimizer.state
        for folder in folders:
            node = node[int(folder)] if isinstance(node, list) else node[folder]
        node[leaf] = value
    mx.eval(model.parameters(), optimizer.state)


def _seed(key: Any, rank: int) -> int:
    """Each machine drops out other units, and the same ones when an iteration is computed again."""
    return int(np.random.SeedSequence([*key, rank]).generate_state(1, np.uint64)[0])
