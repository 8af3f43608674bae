"""What a model and an adapter are, by their configuration and the headers of their weights alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgellm.domain.chat import ModelType, Target
from forgellm.domain.errors import InvalidAdapter
from forgellm.domain.quantization import possible_group_sizes
from forgellm.services.parts import Parts
from forgellm.storage.adapters import read_config
from forgellm.storage.models import ModelFolder, context_length, has_chat_template
from forgellm.storage.targets import find_source
from forgellm.storage.weights import Tensor, tensors, weight_files

_TYPES = {"BF16": "bf16", "F16": "fp16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}
_HEAD = re.compile(r"(For\w+|LMHeadModel|Model)$")


@dataclass(frozen=True)
class ModelInfo:
    """`parameters` counts what the headers name, as before quantization; None where `parameters_problem` says
    why it cannot be. `quantization` is the type of most weights where there is none. `group_sizes` are those
    in which its weights may be quantized.
    """

    name: str
    model_type: ModelType
    architecture: str
    parameters: int | None
    parameters_problem: str | None
    quantization: str
    context_length: int | None
    weight_bytes: int
    group_sizes: tuple[int, ...]


@dataclass(frozen=True)
class AdapterInfo:
    """`kind` is lora, dora or full. `rank` and `alpha` (rank × scale) are None where whole weights learnt.
    `modules` are named as inside a block; `also` are kinds of weights that learnt as a whole.
    """

    path: str
    kind: str
    rank: int | None
    alpha: float | None
    modules: tuple[str, ...]
    also: tuple[str, ...]
    parameters: int
    trained_on: str


def describe(parts: Parts, target: Target) -> tuple[ModelInfo, AdapterInfo | None]:
    """What `target` is made of. Raises what `find_source` raises for one that cannot be used."""
    source = find_source(parts.workspace, parts.hub_cache, target)
    model = describe_model(ModelFolder(target.model_name, source.model_path, source.config))
    return model, None if source.adapter is None else _adapter(target, *source.adapter)


def describe_model(model: ModelFolder) -> ModelInfo:
    """What a model is made of."""
    files = weight_files(model.path)
    found = {name: tensor for file in files for name, tensor in (tensors(file) or {}).items()}
    quantization = quantization_of(model.config)
    count, problem = _parameters(found, quantization)
    return ModelInfo(
        name=model.name,
        model_type="instruct" if has_chat_template(model.path) else "base",
        architecture=_architecture(model.config),
        parameters=count,
        parameters_problem=problem,
        quantization=_precision(found.values(), quantization),
        context_length=context_length(model.config),
        weight_bytes=sum(file.stat().st_size for file in files),
        group_sizes=()
        if quantization
        else possible_group_sizes({t.shape[-1] for t in found.values() if t.shape[1:]}),
    )


def _architecture(config: Mapping[str, object]) -> str:
    """`Qwen3` of Qwen3ForCausalLM; the model_type where no class is named."""
    names: Any = config.get("architectures")
    if isinstance(names, list) and names:
        return _HEAD.sub("", str(names[0])) or str(names[0])
    return str(config["model_type"])


def quantization_of(config: Mapping[str, object]) -> Mapping[str, Any]:
    """MLX writes `quantization`; other tools describe their own way in `quantization_config`."""
    found = config.get("quantization") or config.get("quantization_config")
    return found if isinstance(found, Mapping) else {}


def _parameters(
    found: Mapping[str, Tensor], quantization: Mapping[str, Any]
) -> tuple[int | None, str | None]:
    """How many there are, and why that is not known."""
    total = 0
    for name, tensor in found.items():
        module, _, part = name.rpartition(".")
        if f"{module}.scales" not in found:
            if tensor.dtype in ("I32", "U32") and quantization:
                return None, f"{name} is packed in a way that only the engine unpacks"
            total += tensor.elements
        elif part == "weight":
            # MLX packs them into words of 32 bits.
            total += tensor.elements * 32 // bits_of(module, quantization)
        elif part == "bias":
            total += tensor.elements
    return total, None


def bits_of(module: str, quantization: Mapping[str, Any]) -> int:
    """How many bits a weight of that module has."""
    own = quantization.get(module)
    bits = (own if isinstance(own, Mapping) else quantization).get("bits", quantization.get("bits", 4))
    return int(bits)


def _precision(found: Iterable[Tensor], quantization: Mapping[str, Any]) -> str:
    if quantization:
        others = [value for value in quantization.values() if isinstance(value, Mapping) and "bits" in value]
        bits = sorted({int(q["bits"]) for q in (quantization, *others) if "bits" in q})
        method = quantization.get("mode") or quantization.get("quant_method")
        kind = "" if method in (None, "affine") else f" ({method})"
        return (" and ".join(map(str, bits)) + "-bit" if bits else "quantized") + kind
    sizes: Counter[str] = Counter()
    for tensor in found:
        sizes[tensor.dtype] += tensor.elements
    dtype = sizes.most_common(1)[0][0]
    return _TYPES.get(dtype, dtype.lower())


def _adapter(target: Target, folder: Path, weights: Path) -> AdapterInfo:
    config = read_config(folder)
    found = tensors(weights)
    if found is None:
        raise InvalidAdapter(
            f"{weights.name} is not a safetensors file, or is cut off",
            details={"field": "adapter_path"},
            suggestion="Choose another checkpoint of the run.",
        )
    has_factors = config.fine_tune_type != "full"
    return AdapterInfo(
        path=str(target.adapter_path),
        kind=config.fine_tune_type,
        rank=config.rank if has_factors else None,
        alpha=config.rank * config.scale if has_factors else None,
        modules=_modules(found, ".lora_a" if has_factors else ".weight", keys=config.keys or ()),
        also=config.train_also,
        parameters=sum(tensor.elements for tensor in found.values()),
        trained_on=config.model,
    )


def _modules(found: Iterable[str], ending: str, *, keys: Sequence[str]) -> tuple[str, ...]:
    """`q_proj` of model.layers.0.self_attn.q_proj.lora_a: each once, ordered as in `keys`."""
    order = [_last(key) for key in keys]
    names = dict.fromkeys(_last(name.removesuffix(ending)) for name in found if name.endswith(ending))
    return tuple(sorted(names, key=lambda name: order.index(name) if name in order else len(order)))


def _last(name: str) -> str:
    return name.rpartition(".")[2]
