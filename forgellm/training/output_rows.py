"""The matrix of an output layer that is one product, a block of its rows at a time, quantized or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from forgellm.training.output_layer import OutputLayer

_KINDS = (nn.Linear, nn.QuantizedLinear, nn.Embedding, nn.QuantizedEmbedding)


@dataclass(frozen=True)
class Rows:
    """`weight` [vocabulary, hidden], or packed with `scales` and `biases` for each row; `bias` [vocabulary].

    `packing` says how it is packed: group_size, bits, mode.
    """

    weight: mx.array
    bias: mx.array | None = None
    scales: mx.array | None = None
    biases: mx.array | None = None
    packing: dict[str, Any] = field(default_factory=dict)

    def values(self, hidden: mx.array, block: slice) -> mx.array:
        """hidden [n, hidden] times the rows of a block, and their bias: [n, block]."""
        found = self._product(hidden, block, transpose=True)
        return found if self.bias is None else found + self.bias[block]

    def back(self, weights: mx.array, block: slice) -> mx.array:
        """The sums of a block's rows under weights [n, block]: [n, hidden]."""
        return self._product(weights, block, transpose=False)

    def of(self, ids: mx.array) -> mx.array:
        """The rows of tokens [n], unpacked: [n, hidden]."""
        if self.scales is None:
            return self.weight[ids]
        biases = None if self.biases is None else self.biases[ids]
        return mx.dequantize(self.weight[ids], self.scales[ids], biases, **self.packing)

    def _product(self, x: mx.array, block: slice, *, transpose: bool) -> mx.array:
        weight = self.weight[block]
        if self.scales is None:
            return x @ (weight.T if transpose else weight)
        biases = None if self.biases is None else self.biases[block]
        return mx.quantized_matmul(x, weight, self.scales[block], biases, transpose=transpose, **self.packing)


def rows_of_layer(layer: OutputLayer) -> Rows | None:
    """The rows of a layer that is only a matrix and a bias; None for any other, as one with factors."""
    module = layer.module
    if type(module) not in _KINDS:
        return None
    if "scales" not in module:
        return Rows(module.weight, module.get("bias"))
    packing = {"group_size": module.group_size, "bits": module.bits, "mode": module.mode}
    return Rows(module.weight, module.get("bias"), module.scales, module.get("biases"), packing)
