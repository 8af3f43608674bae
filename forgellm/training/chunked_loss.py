"""Cross-entropy behind an output layer whose logits never exist as a whole.

Where the layer is one product that does not learn, the vocabulary is taken in blocks. The logits of a block,
but for the target's, give each token their log-sum-exp and, under their softmax, the mean of its rows; both
are merged into what runs along, as flash attention does. At the end that holds the loss and its whole
gradient by the hidden state: 1 - p times that mean less the target's row. These are two products a block, as
many as whole logits cost. Other layers are taken in chunks of tokens. Losses are float32, gradients have the
layer's type.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from forgellm.domain import loss_chunks
from forgellm.training.output_layer import OutputLayer
from forgellm.training.output_rows import Rows, rows_of_layer


@dataclass(frozen=True)
class Chunking:
    """How the losses of one batch are computed from the hidden states before `layer`.

    `count` bounds its learned tokens and is part of the compiled shape; None stands for all tokens.
    `stages` collects what is to be evaluated in this order before anything else: mlx allocates the results
    of hundreds of operations ahead of their computation, so a graph of blocks alone would save little. In a
    step that is `compiled` nothing can be evaluated.
    """

    layer: OutputLayer
    count: int | None = None
    stages: deque[list[mx.array]] = field(default_factory=deque)
    plain: int = loss_chunks.WHOLE
    tile: int = loss_chunks.TILE
    compiled: bool = False

    def pays(self, tokens: int) -> bool:
        """Whether so many tokens have logits worth saving."""
        return tokens * self.layer.vocabulary >= self.plain

    def settle(self) -> None:
        """Evaluate the stages; each is forgotten before the next, so that its arrays can be reused."""
        while self.stages:
            mx.eval(self.stages.popleft())

    def ordered(self, hidden: mx.array, computed: list[mx.array]) -> tuple[mx.array, list[mx.array]]:
        """Both, the hidden states not before the others are computed.

        Else a compiled step would compute all blocks side by side and add them up in one kernel at its end.
        """
        if not self.compiled:
            return hidden, computed
        hidden, *computed = mx.depends([hidden, *computed], computed)
        return hidden, computed

    def places(self, learned: mx.array) -> mx.array | None:
        """The places of the learned targets in a flat mask, then others up to `count`; None for all."""
        if self.count is None or self.count >= learned.size:
            return None
        # Sorting puts the learned ones first without asking the device how many there are.
        return mx.argsort(mx.logical_not(learned).astype(mx.int8))[: self.count]


def learned_bound(learned: int, targets: int, *, few: bool) -> int:
    """A bound of `learned` of `targets` tokens, at least 1: by sixteens, or one of five shares of all.

    mlx keeps every traced shape for ever, so compiled steps have few.
    """
    if few:
        return next(bound for eighths in (1, 2, 4, 6, 8) if learned <= (bound := -(-targets * eighths // 8)))
    return min(targets, 16 * (learned // 16 + 1))


def chunked_losses(hidden: mx.array, targets: mx.array, chunking: Chunking) -> mx.array:
    """-log p of targets [n] after hidden states [n, hidden], differentiable by these, float32 [n].

    The layer must not learn. Every token's gradient is found on the way and kept: [n, hidden].
    """
    rows = rows_of_layer(chunking.layer)

    def both(hidden: mx.array) -> tuple[mx.array, mx.array]:
        parts: list[tuple[mx.array, mx.array]] = []
        for chunk in _chunks(len(targets), _tokens_at_once(chunking, rows)):
            if parts:
                hidden, _ = chunking.ordered(hidden, list(parts[-1]))
            parts.append(_losses_and_gradients(hidden[chunk], targets[chunk], chunking, rows))
        losses, gradients = zip(*parts, strict=True)
        return mx.concatenate(list(losses)), mx.concatenate(list(gradients))

    def backward(_: Any, cotangents: Any, outputs: Any) -> mx.array:
        found: mx.array = cotangents[0][:, None].astype(hidden.dtype) * outputs[1]
        return found

    function: Any = mx.custom_function(both)
    function.vjp(backward)
    losses: mx.array = function(hidden)[0]
    return losses


def chunked_sum(hidden: mx.array, targets: mx.array, weights: mx.array, chunking: Chunking) -> mx.array:
    """The losses' sum under `weights` [n], differentiable by the hidden states and the layer's weights."""
    module = chunking.layer.module
    names, values = zip(*tree_flatten(module.trainable_parameters()), strict=True)

    def part(hidden: mx.array, values: list[mx.array], targets: mx.array, weights: mx.array) -> mx.array:
        module.update(tree_unflatten(list(zip(names, values, strict=True))))
        return (_cross_entropy(chunking.layer.logits(hidden), targets) * weights).sum()

    def whole(hidden: mx.array, *values: mx.array) -> tuple[mx.array, ...]:
        total, states = mx.array(0.0), []
        # Many small sums in half precision would lose what one product of all tokens keeps.
        sums = [mx.zeros(value.shape) for value in values]
        for chunk in _chunks(len(targets), _tokens_at_once(chunking, None)):
            loss, (state, learned) = mx.value_and_grad(part, argnums=(0, 1))(
                hidden[chunk], list(values), targets[chunk], weights[chunk]
            )
            total = total + loss
            states.append(state)
            sums = [a + b for a, b in zip(sums, learned, strict=True)]
            chunking.stages.append([total, state, *sums])
            hidden, sums = chunking.ordered(hidden, sums)
        return total, mx.concatenate(states), *(a.astype(b.dtype) for a, b in zip(sums, values, strict=True))

    def backward(_: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        return tuple(cotangents[0].astype(one.dtype) * one for one in outputs[1:])

    function: Any = mx.custom_function(whole)
    function.vjp(backward)
    try:
        total: mx.array = function(hidden, *values)[0]
    finally:
        module.update(tree_unflatten(list(zip(names, values, strict=True))))
    return total


def measured_losses(hidden: mx.array, targets: mx.array, chunking: Chunking) -> mx.array:
    """-log p of targets [n] without gradients, evaluated, float32 [n]."""
    rows = rows_of_layer(chunking.layer)
    found = []
    for chunk in _chunks(len(targets), _tokens_at_once(chunking, rows)):
        if rows is None:
            losses = _cross_entropy(chunking.layer.logits(hidden[chunk]), targets[chunk])
        else:
            for running in _merged(hidden[chunk], targets[chunk], chunking, rows, gradient=False):
                mx.eval(running.arrays)
            losses = running.losses
        mx.eval(losses)
        found.append(losses)
    return mx.concatenate(found)


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _tokens_at_once(chunking: Chunking, rows: Rows | None) -> int:
    """Blocks of the vocabulary hold more tokens than rows of whole logits."""
    if rows is not None:
        return loss_chunks.TOKENS
    share = chunking.tile / loss_chunks.TILE
    return max(loss_chunks.FEWEST, round(loss_chunks.ROWS * share) // chunking.layer.vocabulary)


@dataclass(frozen=True)
class _Running:
    """Over the blocks so far: log-sum-exp of all logits but the target's [n], the target's logit [n], and the
    mean row under the softmax of the former [n, hidden]."""

    others: mx.array
    score: mx.array
    mean: mx.array | None = None

    @property
    def arrays(self) -> list[mx.array]:
        return [one for one in vars(self).values() if one is not None]

    @property
    def losses(self) -> mx.array:
        return mx.logaddexp(self.others - self.score, 0.0)


def _losses_and_gradients(
    hidden: mx.array, targets: mx.array, chunking: Chunking, rows: Rows | None
) -> tuple[mx.array, mx.array]:
    if rows is None:

        def total(state: mx.array) -> tuple[mx.array, mx.array]:
            losses = _cross_entropy(chunking.layer.logits(state), targets)
            return losses.sum(), losses

        (_, losses), gradient = mx.value_and_grad(total)(hidden)
        chunking.stages.append([losses, gradient])
        return losses, gradient
    for running in _merged(hidden, targets, chunking, rows, gradient=True):
        chunking.stages.append(running.arrays)
    own = rows.of(targets).astype(mx.float32)
    if not chunking.layer.after.straight:
        own = own * chunking.layer.after.slope(running.score)[:, None]
    # The share of all rows but the target's, 1 - p, however near to 1 that is.
    share = mx.sigmoid(running.others - running.score)[:, None]
    gradient = (share * (running.mean - own)).astype(hidden.dtype)  # type: ignore[operator]
    chunking.stages.append([gradient])
    return running.losses, gradient


def _merged(
    hidden: mx.array, targets: mx.array, chunking: Chunking, rows: Rows, *, gradient: bool
) -> Iterator[_Running]:
    """What runs along, after each block of the vocabulary."""
    running: _Running | None = None
    for block in _chunks(chunking.layer.vocabulary, max(1, chunking.tile // len(targets))):
        if running is not None:
            hidden, _ = chunking.ordered(hidden, running.arrays)
        found = _block(hidden, targets, chunking, rows, block, gradient=gradient)
        running = found if running is None else _merge(running, found)
        yield running


def _block(
    hidden: mx.array, targets: mx.array, chunking: Chunking, rows: Rows, block: slice, *, gradient: bool
) -> _Running:
    after = chunking.layer.after
    values = rows.values(hidden, block)
    logits = after(values).astype(mx.float32)
    # Numbers would be part of a compiled kernel: each block would have its own.
    places = mx.arange(block.start, block.stop)
    is_here = (targets >= places[0]) & (targets <= places[-1])
    place = mx.where(is_here, targets - places[0], 0)
    score = mx.where(is_here, mx.take_along_axis(logits, place[:, None], axis=-1)[:, 0], 0.0)
    # In half precision p rounds to 1: with the target in the product nothing would be left of p - 1.
    others = mx.where(places == targets[:, None], _NONE, logits)
    if not gradient:
        return _Running(mx.logsumexp(others, axis=-1), score)
    weights = mx.softmax(others, axis=-1)
    normaliser = _normaliser(others, weights)
    if not after.straight:
        weights = weights * after.slope(logits)
    mean = rows.back(weights.astype(values.dtype), block).astype(mx.float32)
    return _Running(normaliser, score, mean)


def _merge(a: _Running, b: _Running) -> _Running:
    # Exactly one block holds the target: the scores of the others are 0.
    others, score = mx.logaddexp(a.others, b.others), a.score + b.score
    if a.mean is None or b.mean is None:
        return _Running(others, score)
    share_a, share_b = mx.exp(a.others - others), mx.exp(b.others - others)
    return _Running(others, score, a.mean * share_a[:, None] + b.mean * share_b[:, None])


def _cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """`nn.losses.cross_entropy` in float32, whose gradient is made of the softmax that gave the loss."""
    function: Any = mx.custom_function(_losses_and_weights)
    function.vjp(_slopes)
    losses: mx.array = function(logits.astype(mx.float32), targets)[0]
    return losses


def _losses_and_weights(logits: mx.array, targets: mx.array) -> tuple[mx.array, mx.array]:
    weights = mx.softmax(logits, axis=-1)
    score = mx.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return _normaliser(logits, weights) - score, weights


def _normaliser(logits: mx.array, weights: mx.array) -> mx.array:
    """The log-sum-exp of rows of logits, from log p of the likeliest: every exponential is taken once."""
    return logits.max(axis=-1) - mx.log(weights.max(axis=-1))


def _slopes(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, mx.array]:
    _, targets = primals
    slopes = outputs[1] * cotangents[0][:, None]
    return slopes.at[mx.arange(len(targets)), targets].add(-cotangents[0]), mx.zeros_like(targets)


_NONE = -1e38
"""A logit without any weight. Infinity would make a block of nothing else undefined."""
