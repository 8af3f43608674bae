"""What a spec lets learn in a model, counted from the headers of its weights; nothing is loaded.

The engine decides by the layers it builds; here the names and shapes in the files have to say the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from forgellm.domain.spec import TrainingSpec
from forgellm.services.model_info import bits_of, quantization_of
from forgellm.storage.models import ModelFolder
from forgellm.storage.weights import Tensor, tensors, weight_files

_BLOCK = re.compile(r"(?:^|.*\.)(?:layers|h|blocks)\.(\d+)\.(.+)")
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "U32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "U16": 2}
_ELSEWHERE = frozenset(
    {"vision_tower", "visual", "vision_model", "multi_modal_projector", "audio_tower", "embed_vision", "mtp"}
)
"""Parts of a model that mlx-lm leaves out: what sees and hears, and what drafts."""

_EXPERT = re.compile(r"(.+)\.experts\.\d+\.(w1|w2|w3|\w+_proj)")
_STACKED = re.compile(r"(.+\.experts)\.(gate_up_proj|down_proj)")
_OF_EXPERTS = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
_UNDER_EXPERTS = ("gpt_oss", "llama4", "llama4_text")
"""Where mlx-lm keeps the name `experts`; elsewhere it is `switch_mlp`."""

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
        """Whether it can have factors: one matrix, or one for each expert; a convolution has none."""
        return len(self.shape) in (2, 3) and "conv" not in self.name.rpartition(".")[2]


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
    """Every weight that the engine loads of a model; what quantization packed is given its true shape, and
    experts lie one upon another as in the engine, however they are stored."""
    found = {name: t for file in weight_files(model.path) for name, t in (tensors(file) or {}).items()}
    quantization = quantization_of(model.config)
    modules: list[Module] = []
    experts: dict[str, list[Module]] = {}
    under = "experts" if model.config.get("model_type") in _UNDER_EXPERTS else "switch_mlp"
    for name, tensor in found.items():
        if not _ELSEWHERE.isdisjoint(name.split(".")):
            continue
        if (several := _STACKED.fullmatch(name)) and len(tensor.shape) == 3:
            place = several[1].removesuffix("experts") + under
            modules += _parted(_module(name, tensor, quantization, packed=False), place, model.config)
        elif name.endswith(".weight"):
            stem = name.removesuffix(".weight")
            module = _module(stem, tensor, quantization, packed=f"{stem}.scales" in found)
            one = _EXPERT.fullmatch(stem)
            layer = f"{one[1]}.{under}.{_OF_EXPERTS.get(one[2], one[2])}" if one else None
            (modules if layer is None else experts.setdefault(layer, [])).append(module)
    stacked = (replace(them[0], name=n, shape=(len(them), *them[0].shape)) for n, them in experts.items())
    return [*modules, *stacked]


def _parted(module: Module, place: str, config: Mapping[str, object]) -> Iterator[Module]:
    """The layers in one tensor of all experts; the side of the hidden state is the one that is not parted."""
    if module.name.endswith("down_proj"):
        yield replace(module, name=f"{place}.down_proj")
        return
    experts, first, second = module.shape
    inner = config.get("text_config")
    hidden = {**config, **(inner if isinstance(inner, dict) else {})}.get("hidden_size")
    shape = (experts, second // 2, first) if first == hidden else (experts, first // 2, second)
    yield replace(module, name=f"{place}.gate_proj", shape=shape)
    yield replace(module, name=f"{place}.up_proj", shape=shape)


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
