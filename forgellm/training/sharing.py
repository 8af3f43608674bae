"""One iteration on several machines: each takes some rows of every batch, and all make the same update.

The gradients are summed before they are clipped and applied, and every loss is scaled by the targets of the
whole iteration: the result is that of one machine with the whole batch, however long its rows are. The first
machine has the run: data, events, files. The others are sent what they need, and keep none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from forgellm.training.adapters import trainable_weights
from forgellm.training.batches import Batch
from forgellm.training.group import Group
from forgellm.training.objectives import Loss
from forgellm.training.output_layer import OutputLayer, output_layer
from forgellm.training.state import random_key
from forgellm.training.stepper import Stepper, StepResult

Parts = Sequence[Sequence[mx.array]]


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
        parts = [batch.arrays for batch in batches]
        values = {
            "learning_rate": learning_rate,
            "scale": 1.0 / max(targets, 1),
            "arrays": [len(part) for part in parts],
            "random_key": random_key(),
            # The two rows of a pair stay together.
            "unit": 1 if batches[0].reference is None else 2,
        }
        self._group.send("step", values, [array for part in parts for array in part])
        if meanwhile is not None:
            meanwhile()
        loss, metrics, norm = _together(self._group, self._stepper, parts, values=values)
        return StepResult(loss, targets, norm, metrics)


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
            rest = iter(message.arrays)
            counts: Any = message.values["arrays"]
            parts = [[next(rest) for _ in range(count)] for count in counts]
            _together(group, stepper, parts, values=message.values)


def _together(
    group: Group, stepper: Stepper, parts: Parts, *, values: Mapping[str, Any]
) -> tuple[float, dict[str, float], float | None]:
    """This machine's rows, the sum over all machines, the same update on each: loss, metrics, norm."""
    mine = [_rows_of(part, values["unit"], rank=group.rank, size=group.size) for part in parts]
    # Who has no row in some batch computes another's, and adds nothing.
    scales = [values["scale"] if has_some else 0.0 for _, has_some in mine]
    loss, metrics, gradients = stepper.gradients([rows for rows, _ in mine], scales)
    found: Any = tree_flatten(gradients, destination={})
    leaves: dict[str, mx.array] = dict(sorted(found.items()))
    said = mx.stack([loss, *metrics.values()]).astype(mx.float32)
    summed, *arrays = group.total([said, *leaves.values()])
    norm = stepper.apply(tree_unflatten(list(zip(leaves, arrays, strict=True))), values["learning_rate"])
    first, *further = map(float, np.array(summed))
    return first, dict(zip(metrics, further, strict=True)), norm


def _rows_of(part: Sequence[mx.array], unit: int, *, rank: int, size: int) -> tuple[Sequence[mx.array], bool]:
    """A machine's rows of a batch [rows, …], and whether it has any; `unit` rows stay together."""
    items = part[0].shape[0] // unit
    first, end = (-(-items * place // size) * unit for place in (rank, rank + 1))
    if first == end:
        return [array[:unit] for array in part], False
    return [array[first:end] for array in part], True


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
