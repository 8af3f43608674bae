"""An adapter in the layout of Hugging Face's PEFT, which loads it onto the model that it was trained on.

There the factors lie the other way round, and their product is scaled by lora_alpha / r. PEFT's names:
https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

import re
from pathlib import Path

import mlx.core as mx

from forgellm.domain.errors import UnsupportedExport
from forgellm.exporting.weights import plain_name
from forgellm.storage.adapters import AdapterConfig
from forgellm.storage.files import write_json

_LEAVES = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
_EMBEDDING_LEAVES = {**_LEAVES, "lora_a": "lora_embedding_A", "lora_b": "lora_embedding_B"}
_LAYER = re.compile(r"\.layers\.(\d+)\.")


def write_peft(folder: Path, weights: dict[str, mx.array], config: AdapterConfig, *, tied: bool) -> None:
    """Write adapter_model.safetensors and adapter_config.json into `folder`.

    `tied` says that the base model's output layer is its embedding. Raises UnsupportedExport.
    """
    _check_places(weights, config, tied=tied)
    embedding = next((value for name, value in weights.items() if name.endswith("embed_tokens.weight")), None)
    if tied and embedding is not None:
        # PEFT's copy of an embedding is seen at the input alone: https://github.com/huggingface/peft/issues/1750
        weights = {**weights, "lm_head.weight": embedding}
    tensors = {_name(name): _turned(name, value) for name, value in weights.items()}
    mx.save_safetensors(str(folder / "adapter_model.safetensors"), tensors, {"format": "pt"})
    write_json(folder / "adapter_config.json", peft_config(weights, config))


def peft_config(weights: dict[str, mx.array], config: AdapterConfig) -> dict[str, object]:
    """What adapter_config.json says there."""
    modules = {name: plain_name(name.rpartition(".")[0]) for name in weights}
    adapted = {modules[name] for name in weights if name.endswith(".lora_a")}
    whole = {modules[name] for name in weights if name.rpartition(".")[2] not in _LEAVES}
    found = [_LAYER.search(name) for name in adapted]
    # Layers can be numbered only where every adapted module lies in one.
    layers = sorted({int(one[1]) for one in found if one}) if all(found) else None
    targets = adapted if layers is None else {name.rpartition(".")[2] for name in adapted}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": config.model,
        "inference_mode": True,
        "r": config.rank,
        "lora_alpha": config.scale * config.rank,
        "lora_dropout": config.dropout,
        "use_dora": config.fine_tune_type == "dora",
        "use_rslora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted(targets),
        "layers_to_transform": layers,
        "modules_to_save": sorted({name.rpartition(".")[2] for name in whole}) or None,
    }


def _check_places(weights: dict[str, mx.array], config: AdapterConfig, *, tied: bool) -> None:
    for name, value in weights.items():
        factor = name.endswith((".lora_a", ".lora_b"))
        shared = tied and factor and _is_embedding(name)
        if ".linear." in name or shared or (factor and value.ndim != 2):
            raise UnsupportedExport(
                f"PEFT has no place for the weight {name} of this adapter",
                details={"weight": name, "model": config.model},
                suggestion="Publish the run, and export the published model.",
            )


def _is_embedding(name: str) -> bool:
    return name.rpartition(".")[0].endswith("embed_tokens")


def _name(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    leaves = _EMBEDDING_LEAVES if _is_embedding(name) else _LEAVES
    return f"base_model.model.{plain_name(module)}.{leaves.get(leaf, leaf)}"


def _turned(name: str, value: mx.array) -> mx.array:
    return mx.contiguous(value.T) if name.endswith((".lora_a", ".lora_b")) else value
