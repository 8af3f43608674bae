"""One optimiser update: gradients of one or more batches, clipped, applied. No data order, no events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

from forgellm.training.batches import Batch
from forgellm.training.losses import learned_loss

Gradients = Any  # a tree of arrays shaped like the model's trainable parameters


@dataclass(frozen=True)
class StepResult:
    """Token-weighted mean loss before the update, targets behind it, global gradient norm if clipped."""

    loss: float
    targets: int
    gradient_norm: float | None


class Stepper:
    """Holds the compiled update. Restore weights, optimiser and random state before building one.

    `mx.compile` captures the state it finds: exact resume depends on that order. On a CPU compiling
    gains nothing (measured 1.01) and costs a C++ compiler, so it is the caller's choice.
    """

    def __init__(
        self, model: nn.Module, optimizer: optim.Optimizer, *, max_grad_norm: float | None, compiled: bool
    ) -> None:
        self._optimizer = optimizer
        self._model = model
        self._max_grad_norm = max_grad_norm
        self._gradients = nn.value_and_grad(model, learned_loss)
        self._state = [model.state, optimizer.state, mx.random.state]
        self._accumulate = self._maybe_compiled(self._add_batch, compiled)
        self._finish = self._maybe_compiled(self._add_last_batch, compiled)

    def update(self, batches: Sequence[Batch], learning_rate: float) -> StepResult:
        """Train on `batches` as one iteration: their losses are weighted by tokens across all of them."""
        self._model.train()
        self._optimizer.learning_rate = mx.array(learning_rate, mx.float32)
        targets = sum(batch.targets for batch in batches)
        scale = mx.array(1.0 / max(targets, 1), mx.float32)
        loss, carried = mx.array(0.0), None
        for batch in batches[:-1]:
            part, carried = self._accumulate(mx.array(batch.tokens), mx.array(batch.learned), scale, carried)
            loss = loss + part
            mx.eval(loss, carried)
        last = batches[-1]
        part, norm = self._finish(mx.array(last.tokens), mx.array(last.learned), scale, carried)
        mx.eval(part, norm, self._state)
        return StepResult(
            (loss + part).item(), targets, None if self._max_grad_norm is None else float(norm.item())
        )

    def _maybe_compiled(self, function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
        if not compiled:
            return function
        return mx.compile(function, inputs=self._state, outputs=self._state)

    def _add_batch(
        self, tokens: mx.array, learned: mx.array, scale: mx.array, carried: Gradients
    ) -> tuple[mx.array, Gradients]:
        loss, gradients = self._gradients(self._model, tokens, learned, scale)
        if carried is not None:
            gradients = tree_map(lambda a, b: a + b, gradients, carried)
        return loss, gradients

    def _add_last_batch(
        self, tokens: mx.array, learned: mx.array, scale: mx.array, carried: Gradients
    ) -> tuple[mx.array, mx.array]:
        loss, gradients = self._add_batch(tokens, learned, scale, carried)
        norm = mx.array(0.0)
        if self._max_grad_norm is not None:
            gradients, norm = optim.clip_grad_norm(gradients, self._max_grad_norm)
        self._optimizer.update(self._model, gradients)
        return loss, norm
