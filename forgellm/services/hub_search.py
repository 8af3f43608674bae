"""The Hugging Face Hub as somebody looks for a model there: searching, and reading a card.

Downloading is in `downloads`. Every request has a short time limit: someone is waiting for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from forgellm.domain.chat import ModelType
from forgellm.domain.errors import InvalidField
from forgellm.services.hub import model_errors, not_a_hub
from forgellm.storage.models import is_hub_id

_SECONDS = 8.0
_CARD_BYTES = 1 << 20
_ASKED = ("config", "downloads", "gated", "lastModified", "likes", "safetensors", "tags")
_BITS = {"F64": 64, "I64": 64, "F32": 32, "U32": 32, "I32": 32, "BF16": 16, "F16": 16, "I16": 16, "U16": 16}
_QUANTIZED = re.compile(r"([2-8])-bit")


@dataclass(frozen=True)
class HubModel:
    """A model on the Hub as it describes itself; whatever it does not say is None.

    `parameters` counts the numbers in the files, which quantization packs: None for a quantized model.
    """

    name: str
    downloads: int | None
    likes: int | None
    updated: str | None
    gated: bool
    licence: str | None
    architecture: str | None
    model_type: ModelType | None
    quantization: str | None
    parameters: int | None
    weight_bytes: int | None


def search(words: str, *, limit: int, only_mlx: bool) -> list[HubModel]:
    """Models for text whose id has the `words`, the most downloaded first; with `only_mlx` those that were
    converted for MLX. Raises HubUnreachable.
    """
    asked: list[tuple[str, str]] = [
        ("search", words),
        ("limit", str(limit)),
        ("sort", "downloads"),
        ("filter", "mlx" if only_mlx else "safetensors"),
        ("pipeline_tag", "text-generation"),
        *(("expand", name) for name in _ASKED),
    ]
    found = _json("/api/models", asked, name=words)
    models = [entry for entry in found if isinstance(entry, dict) and is_hub_id(str(entry.get("id")))]
    return [_found(entry) for entry in models[:limit]]


def hub_card(name: str) -> str:
    """README.md of a model on the Hub. Raises InvalidField, ModelNotFound, HubUnreachable."""
    check_hub_id(name)
    with model_errors(name):
        response = get_session().get(
            f"{constants.ENDPOINT}/{name}/resolve/main/README.md",
            headers=build_hf_headers(),
            timeout=_SECONDS,
        )
        hf_raise_for_status(response)
        return response.content[:_CARD_BYTES].decode("utf-8", errors="replace")


def check_hub_id(name: str) -> None:
    """Raises InvalidField for what cannot be the id of a model on the Hub."""
    if not is_hub_id(name):
        raise InvalidField(
            f"{name!r:.120} is not the id of a model on the Hub",
            details={"field": "model"},
            suggestion="Give one such as mlx-community/Qwen3-4B-bf16.",
        )


def _json(path: str, asked: Sequence[tuple[str, str]], *, name: str) -> list[Any]:
    with model_errors(name):
        response = get_session().get(
            f"{constants.ENDPOINT}{path}", params=list(asked), headers=build_hf_headers(), timeout=_SECONDS
        )
        hf_raise_for_status(response)
        try:
            found = response.json()
        except (ValueError, RecursionError) as error:
            raise not_a_hub("what answers does not speak as a Hub does") from error
    if not isinstance(found, list):
        raise not_a_hub("what answers does not speak as a Hub does")
    return found


def _found(entry: Mapping[str, Any]) -> HubModel:
    config, tags = _mapping(entry.get("config")), [str(t) for t in _list(entry.get("tags"))]
    numbers = {
        str(dtype): count
        for dtype, count in _mapping(_mapping(entry.get("safetensors")).get("parameters")).items()
        if type(count) is int and count >= 0
    }
    packed = next((tag for tag in tags if _QUANTIZED.fullmatch(tag)), None)
    names = _list(config.get("architectures"))
    return HubModel(
        name=str(entry["id"]),
        downloads=_count(entry.get("downloads")),
        likes=_count(entry.get("likes")),
        updated=str(entry["lastModified"]) if entry.get("lastModified") else None,
        gated=bool(entry.get("gated")),
        licence=next((t.removeprefix("license:") for t in tags if t.startswith("license:")), None),
        architecture=str(names[0]) if names else None,
        model_type=_model_type(config),
        quantization=packed,
        parameters=sum(numbers.values()) if numbers and packed is None and "U32" not in numbers else None,
        weight_bytes=sum(n * _BITS.get(t, 8) // 8 for t, n in numbers.items()) if numbers else None,
    )


def _model_type(config: Mapping[str, Any]) -> ModelType | None:
    """By its tokenizer's chat template, as for models that are here."""
    tokenizer = config.get("tokenizer_config")
    if not isinstance(tokenizer, dict):
        return None
    has_template = tokenizer.get("chat_template") or config.get("chat_template_jinja")
    return "instruct" if has_template else "base"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if type(value) is int else None
