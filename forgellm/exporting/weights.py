"""The weights of a model one by one, dequantized, under the names that transformers gives them.

Each is read from the disk when it is asked for, and the memory holds one of them at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mlx.core as mx
import numpy as np

from forgellm.storage.weights import weight_files

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
_NOT_LANGUAGE = (
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
)
_NOT_WEIGHTS = (".scales", ".biases", "rotary_emb.inv_freq")
# mlx-lm and two generations of transformers nest the language model of a gemma3 differently.
_PREFIXES = (
    ("language_model.model.", "model."),
    ("model.language_model.", "model."),
    ("language_model.", ""),
)


class Weights:
    """The weights in a model's folder; `config` says how those are packed that are quantized."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        self._quantization = config.get("quantization") or config.get("quantization_config") or {}
        self._found: dict[str, mx.array] = {}
        for path in weight_files(folder):
            self._found.update(mx.load(str(path)))  # type: ignore[arg-type]
        stored = [n for n in self._found if not n.startswith(_NOT_LANGUAGE) and not n.endswith(_NOT_WEIGHTS)]
        self._stored = {plain_name(name): name for name in stored}

    def names(self) -> list[str]:
        """Every weight of the language model, in an order that does not change."""
        return sorted(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the weight as it would be unpacked; nothing is read for it."""
        stored = self._stored[name]
        weight, scales = self._found[stored], self._scales(stored)
        if scales is None:
            return tuple(weight.shape)
        return (*scales.shape[:-1], scales.shape[-1] * self._group_size(stored))

    def take(self, name: str) -> Floats:
        """The weight in 32 bits, whatever it is stored in. It can be taken once, and is forgotten then."""
        stored = self._stored[name]
        values = np.array(self._unpacked(stored).astype(mx.float32))
        for leaf in (stored, *(f"{stored.removesuffix('.weight')}{kind}" for kind in _NOT_WEIGHTS)):
            self._found.pop(leaf, None)
        return values

    def _unpacked(self, stored: str) -> mx.array:
        weight, scales = self._found[stored], self._scales(stored)
        if scales is None:
            return weight
        group = self._group_size(stored)
        bits = weight.shape[-1] * 32 // (scales.shape[-1] * group)
        biases = self._found.get(f"{stored.removesuffix('.weight')}.biases")
        return mx.dequantize(weight, scales, biases, group, bits, self._mode(stored))

    def _scales(self, stored: str) -> mx.array | None:
        return self._found.get(f"{stored.removesuffix('.weight')}.scales")

    def _setting(self, stored: str, name: str) -> object:
        """The module's own setting, or that of all."""
        settings = self._quantization
        assert isinstance(settings, dict)
        own = settings.get(stored.removesuffix(".weight"))
        return own[name] if isinstance(own, dict) and name in own else settings.get(name)

    def _group_size(self, stored: str) -> int:
        return int(str(self._setting(stored, "group_size") or 64))

    def _mode(self, stored: str) -> str:
        return str(self._setting(stored, "mode") or "affine")


def plain_name(name: str) -> str:
    """The name as transformers has it where the model is one of language alone."""
    for prefix, replacement in _PREFIXES:
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name
