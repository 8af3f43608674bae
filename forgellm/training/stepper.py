"""One optimiser update: gradients of one or more batches, clipped, applied. No data order, no events.

Which loss that is comes from the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map

from forgellm.domain.updates import FUSED_BYTES
from forgellm.training.batches import Batch
from forgellm.training.chunked_loss import Chunking, learned_bound
from forgellm.training.objectives import Loss, likelihood
from forgellm.training.output_layer import OutputLayer

Gradients = Any  # a tree of arrays shaped like the model's trainable parameters
Values = tuple[mx.array, dict[str, mx.array]]


@dataclass(frozen=True)
class StepResult:
    """Mean loss over the targets before the update, their number, global gradient norm if clipped.

    `metrics` are further means of the objective.
    """

    loss: float
    targets: int
    gradient_norm: float | None
    metrics: Mapping[str, float]


class Stepper:
    """Holds the compiled update. Restore weights, optimiser and random state before building one.

    `mx.compile` captures the state it finds: exact resume depends on that order. Whether losses and gradients
    are compiled is the caller's choice: on a CPU it gains nothing, and in a compiled step no memory can be
    saved in stages. The optimiser's hundreds of small operations, the same for every shape, always are, which
    without a C++ compiler mlx leaves out in silence: 5 of 30 ms in small steps. But not those of large
    weights: a compiled update of clipped gradients has old and new weights and moments side by side.

    `usual` are the targets of an iteration of full batches on the average. Gradients are means over so many,
    whatever the iteration has: else a token among few would weigh more than one among many, and batches of
    like length have from tens to thousands. None: over the iteration's own.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: optim.Optimizer,
        *,
        max_grad_norm: float | None,
        compiled: bool,
        loss: Loss = likelihood,
        layer: OutputLayer | None = None,
        usual: float | None = None,
    ) -> None:
        self._usual = usual
        self._optimizer = optimizer
        self._model = model
        self._max_grad_norm = max_grad_norm
        self._loss = loss
        self._layer = layer
        self._compiled = compiled
        self._state = [model.state, optimizer.state, mx.random.state]
        learned: Any = tree_flatten(model.trainable_parameters())
        self._few = sum(array.nbytes for _, array in learned) <= FUSED_BYTES
        self._accumulate = self._maybe_compiled(self._add_batch, compiled)
        self._finish = self._maybe_compiled(self._add_last_batch, compiled and self._few)
        self._apply = self._maybe_compiled(self._apply_gradients, self._few)

    def update(
        self, batches: Sequence[Batch], learning_rate: float, *, meanwhile: Callable[[], object] | None = None
    ) -> StepResult:
        """Train on `batches` as one iteration: their losses are weighted by tokens across all of them.

        `meanwhile` is called while the last of them is being computed.
        """
        self._model.train()
        self._optimizer.learning_rate = mx.array(learning_rate, mx.float32)
        targets = sum(batch.targets for batch in batches)
        scale = mx.array(self.scale(targets), mx.float32)
        parts: list[Values] = []
        carried = None
        for batch in batches[:-1]:
            part, carried = self._accumulate(batch.arrays, scale, carried, self._count(batch))
            parts.append(part)
            mx.eval(part, carried)
        last = batches[-1]
        part, norm = self._finish(last.arrays, scale, carried, self._count(last))
        mx.async_eval(part, norm, self._state)
        if meanwhile is not None:
            meanwhile()
        mx.eval(part, norm, self._state)
        loss, metrics = _sum([*parts, part])
        norm_of = None if self._max_grad_norm is None else float(norm.item())
        return self.result(loss, metrics, targets=targets, norm=norm_of)

    def scale(self, targets: int) -> float:
        """What the sums of losses of an iteration with so many targets are multiplied by."""
        return 1.0 / (self._usual or max(targets, 1))

    def result(
        self, loss: float, metrics: Mapping[str, float], *, targets: int, norm: float | None
    ) -> StepResult:
        """What is told of an iteration: sums that were scaled become means over its own targets."""
        own = 1.0 / (self.scale(targets) * max(targets, 1))
        return StepResult(loss * own, targets, norm, {name: value * own for name, value in metrics.items()})

    def gradients(
        self, batches: Sequence[Batch], scales: Sequence[float]
    ) -> tuple[mx.array, Mapping[str, mx.array], Gradients]:
        """The first half of an update: loss, metrics and gradients of batches, which others add theirs to."""
        self._model.train()
        carried, loss = None, mx.array(0.0)
        metrics: dict[str, mx.array] = {}
        for batch, scale in zip(batches, scales, strict=True):
            factor, count = mx.array(scale, mx.float32), self._count(batch)
            (one, further), carried = self._accumulate(batch.arrays, factor, carried, count)
            loss = loss + one
            metrics = {name: value + metrics.get(name, 0.0) for name, value in further.items()}
            mx.eval(loss, metrics, carried)
        return loss, metrics, carried

    def apply(self, gradients: Gradients, learning_rate: float) -> float | None:
        """The second half: clip and step. Answers the norm of the gradients where they are clipped."""
        self._optimizer.learning_rate = mx.array(learning_rate, mx.float32)
        norm = self._apply(gradients)
        mx.eval(norm, self._state)
        return None if self._max_grad_norm is None else float(norm.item())

    def _count(self, batch: Batch) -> int | None:
        """A bound of the batch's learned tokens; every other one is another shape to compile."""
        size = batch.learned[:, 1:].size
        if self._layer is None or not Chunking(self._layer).pays(size):
            return None
        return learned_bound(batch.learned_targets, size, few=self._compiled)

    def _gradients(self, arrays: Sequence[mx.array], count: int | None) -> tuple[Values, Gradients]:
        chunking = None if self._layer is None else Chunking(self._layer, count, compiled=self._compiled)
        of_loss = nn.value_and_grad(self._model, partial(self._loss, chunking=chunking))
        values, gradients = of_loss(self._model, *arrays)
        if chunking is not None and not self._compiled:
            chunking.settle()
        return values, gradients

    def _maybe_compiled(self, function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
        if not compiled:
            return function
        return mx.compile(function, inputs=self._state, outputs=self._state)

    def _add_batch(
        self, arrays: Sequence[mx.array], scale: mx.array, carried: Gradients, count: int | None
    ) -> tuple[Values, Gradients]:
        values, gradients = self._gradients([*arrays, scale], count)
        if carried is not None:
            gradients = tree_map(lambda a, b: a + b, gradients, carried)
        return values, gradients

    def _add_last_batch(
        self, arrays: Sequence[mx.array], scale: mx.array, carried: Gradients, count: int | None
    ) -> tuple[Values, mx.array]:
        if self._compiled and self._few:
            values, gradients = self._add_batch(arrays, scale, carried, count)
            return values, self._apply_gradients(gradients)
        values, gradients = self._accumulate(arrays, scale, carried, count)
        return values, self._apply(gradients)

    def _apply_gradients(self, gradients: Gradients) -> mx.array:
        norm = mx.array(0.0)
        if self._max_grad_norm is not None:
            gradients, norm = optim.clip_grad_norm(gradients, self._max_grad_norm)
        self._optimizer.update(self._model, gradients)
        return norm


def _sum(parts: Sequence[Values]) -> tuple[float, dict[str, float]]:
    """The losses added in float32, as the gradients were; the metrics beside them."""
    loss = mx.array(0.0)
    for part, _ in parts:
        loss = loss + part
    names = parts[-1][1]
    return float(loss), {name: sum(float(metrics[name]) for _, metrics in parts) for name in names}
