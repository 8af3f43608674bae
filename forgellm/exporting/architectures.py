"""Which architectures can be written as GGUF, and what about them llama.cpp wants to have otherwise.

A model that would load there but answer differently is refused here, by name. Only config.json is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forgellm.domain.errors import UnsupportedExport
from forgellm.storage.models import ModelFolder

# llama.cpp scales the attention of a gemma3 of so many layers as its 27B wants it.
_LAYERS_OF_GEMMA3_27B = 62


@dataclass(frozen=True)
class Architecture:
    """`name` is llama.cpp's. `permuted`: rows of q and k are in the order of interleaved rotation there.
    `norm_offset` is added to the weights of norms; `ropes` are the scalings of rotation it computes alike.
    """

    name: str
    ropes: frozenset[str]
    permuted: bool = False
    norm_offset: float = 0.0


_PLAIN = frozenset({"default", "linear", "yarn"})
_GEMMA3 = Architecture("gemma3", frozenset({"default", "linear"}), norm_offset=1.0)
_LLAMA = Architecture("llama", _PLAIN | {"llama3"}, permuted=True)

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Architecture("qwen2", _PLAIN),
    "qwen3": Architecture("qwen3", _PLAIN),
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "phi3": Architecture("phi3", frozenset({"default", "longrope", "su"})),
}
"""By the model_type of config.json."""


def architecture(model: ModelFolder) -> Architecture:
    """How `model` is written. Raises UnsupportedExport where llama.cpp would not compute what it does."""
    kind = str(model.config["model_type"])
    found = ARCHITECTURES.get(kind)
    if found is None:
        known = ", ".join(ARCHITECTURES)
        raise unsupported(model.name, f"its architecture {kind} is not one of {known}")
    config = text_config(model.config)
    scaling = rope_scaling(config)
    rope = rope_type(scaling)
    if rope not in found.ropes:
        raise unsupported(model.name, f"{kind} with the {rope} scaling of rotations is not supported")
    if rope == "yarn" and any(scaling.get(key) for key in ("mscale", "mscale_all_dim", "attention_factor")):
        raise unsupported(model.name, "its yarn scaling has an attention factor of its own")
    problem = _gemma3_problem(config) if found is _GEMMA3 else None
    if problem is not None:
        raise unsupported(model.name, problem)
    return found


def text_config(config: Mapping[str, object]) -> Mapping[str, object]:
    """The part of config.json that is about the language model."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def rope_scaling(config: Mapping[str, object]) -> Mapping[str, object]:
    """How rotations are scaled, whatever the configuration calls it; empty where they are not."""
    for name in ("rope_scaling", "rope_parameters"):
        value = config.get(name)
        if isinstance(value, dict):
            return value
    return {}


def rope_type(scaling: Mapping[str, object]) -> str:
    """The name of the scaling, `default` where there is none."""
    return str(scaling.get("rope_type") or scaling.get("type") or "default")


def unsupported(name: str, problem: str) -> UnsupportedExport:
    """The refusal of a model that cannot be written as GGUF, and the way out."""
    return UnsupportedExport(
        f"{name} cannot be written as GGUF: {problem}",
        details={"model": name, "problem": problem, "architectures": list(ARCHITECTURES)},
        suggestion="Export it as safetensors or zip: other programs convert that.",
    )


def _gemma3_problem(config: Mapping[str, object]) -> str | None:
    head = config.get("head_dim", 256)
    scalar = config.get("query_pre_attn_scalar", 256)
    if config.get("num_hidden_layers") != _LAYERS_OF_GEMMA3_27B and scalar != head:
        return f"query_pre_attn_scalar {scalar} is not its head_dim {head}, which llama.cpp scales by"
    pattern = config.get("sliding_window_pattern", 6)
    return None if pattern == 6 else f"its sliding_window_pattern is {pattern}, llama.cpp's is 6"
