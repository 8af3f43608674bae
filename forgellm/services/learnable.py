"""What a spec lets learn in a model, counted from the headers of its weights; nothing is loaded.

The engine decides by the layers it builds; here the names and shapes in the files have to say the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from forgellm.domain.spec import TrainingSpec
from forgellm.services.model_info import bits_of, quantization_of
from forgellm.storage.models import ModelFolder
from forgellm.storage.weights import Tensor, tensors, weight_files

_BLOCK = re.compile(r"(?:^|.*\.)(?:layers|h|blocks)\.(\d+)\.(.+)")
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "U32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "U16": 2}
_FACTOR_BYTES = 4
"""Low-rank factors are float32 whatever the base is."""


@dataclass(frozen=True)
class Module:
    """One weight with its true shape [..., out, in]; `block` is None outside the blocks."""

    name: str
    block: int | None
    shape: tuple[int, ...]
    dtype: str
    quantized: bool

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        return len(self.shape) in (2, 3)


@dataclass(frozen=True)
class Learnable:
    """`parameters` learn and take `size_bytes`; `blocks` have a part in it.

    `added_bytes` are those that come on top of the model, `saved_bytes` go into a checkpoint; `matrices`
    count the layers with factors; `output_elements` are those of an output layer that learns.
    """

    parameters: int
    size_bytes: int
    added_bytes: int
    saved_bytes: int
    blocks: int
    matrices: int
    block_elements: int
    output_elements: int


def modules_of(model: ModelFolder) -> list[Module]:
    """Every weight of a model; what quantization packed is given its true shape."""
    found = {name: t for file in weight_files(model.path) for name, t in (tensors(file) or {}).items()}
    quantization = quantization_of(model.config)
    return [
        _module(name.removesuffix(".weight"), tensor, quantization, packed=f"{name[:-7]}.scales" in found)
        for name, tensor in found.items()
        if name.endswith(".weight")
    ]


def learnable(model: ModelFolder, spec: TrainingSpec) -> Learnable:
    """What learns when `spec` trains `model`."""
    modules = modules_of(model)
    count, first = _blocks(modules, spec.num_layers)
    inside = [m for m in modules if m.block is not None and m.block >= first]
    whole = list(_whole(modules, spec))
    if spec.fine_tune_type == "full":
        whole += [m for m in inside if m not in whole]
        factors = []
    else:
        factors = [m for m in inside if m.is_matrix and _is_chosen(m, spec.lora_keys)]
    added = sum(_factors(m, spec) for m in factors)
    # PiSSA's factors lie beside those that they began with, in memory and in checkpoints.
    copies = 2 if spec.lora_init == "pissa" else 1
    size = added * _FACTOR_BYTES + sum(m.elements * _BYTES.get(m.dtype, 2) for m in whole)
    blocks = count if "embeddings" in spec.train_also else count - first
    return Learnable(
        parameters=added + sum(m.elements for m in whole),
        size_bytes=size,
        added_bytes=copies * added * _FACTOR_BYTES,
        saved_bytes=size + (copies - 1) * added * _FACTOR_BYTES,
        blocks=blocks,
        matrices=len(factors),
        block_elements=sum(m.elements for m in inside),
        output_elements=sum(m.elements for m in _output(modules) if m in whole),
    )


def narrowest(
    model: ModelFolder, *, num_layers: int = -1, lora_keys: Sequence[str] | None = None
) -> tuple[str, int] | None:
    """The matrix with the fewest singular values of those that would have factors, and how many these are;
    None where there is no matrix."""
    modules = modules_of(model)
    _, first = _blocks(modules, num_layers)
    chosen = [
        m
        for m in modules
        if m.block is not None and m.block >= first and m.is_matrix and _is_chosen(m, lora_keys)
    ]
    return min(((m.name, min(m.shape[-2:])) for m in chosen), key=lambda pair: pair[1], default=None)


def _module(name: str, tensor: Tensor, quantization: Mapping[str, object], *, packed: bool) -> Module:
    place = _BLOCK.fullmatch(name)
    shape = tensor.shape
    if packed:
        shape = (*shape[:-1], shape[-1] * 32 // bits_of(name, quantization))
    return Module(name, int(place[1]) if place else None, shape, tensor.dtype, packed)


def _blocks(modules: list[Module], num_layers: int) -> tuple[int, int]:
    """How many blocks there are, and the first one that learns."""
    count = 1 + max((m.block for m in modules if m.block is not None), default=-1)
    return count, 0 if num_layers < 0 else max(0, count - num_layers)


def _is_chosen(module: Module, keys: Sequence[str] | None) -> bool:
    place = _BLOCK.fullmatch(module.name)
    return not keys or (place is not None and place[2] in keys)


def _factors(module: Module, spec: TrainingSpec) -> int:
    """Parameters of the two factors of a layer, for each of its experts; DoRA adds a magnitude per row."""
    *experts, rows, columns = module.shape
    magnitude = rows if spec.fine_tune_type == "dora" else 0
    return math.prod(experts) * (spec.lora_rank * (rows + columns) + magnitude)


def _whole(modules: list[Module], spec: TrainingSpec) -> Iterator[Module]:
    """The weights outside of factors that `train_also` names; a tied output layer is the embedding."""
    wanted = {
        "embeddings": _embeddings(modules),
        "norms": [m for m in modules if "norm" in m.name or m.name.rpartition(".")[2].startswith("ln_")],
        "output": _output(modules),
    }
    yield from dict.fromkeys(m for choice in spec.train_also for m in wanted[choice])


def _embeddings(modules: list[Module]) -> list[Module]:
    return [m for m in modules if "embed" in m.name or m.name.rpartition(".")[2] == "wte"]


def _output(modules: list[Module]) -> list[Module]:
    return [m for m in modules if m.name.rpartition(".")[2] == "lm_head"] or _embeddings(modules)
