"""What a model can be exported as, by name: formats, and the types of numbers that GGUF files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class ExportFormat(str, Enum):
    """What comes out. Adapters are exported as `peft` alone, models as all the others."""

    SAFETENSORS = "safetensors"
    ZIP = "zip"
    OLLAMA = "ollama"
    GGUF = "gguf"
    PEFT = "peft"

    @property
    def holds_gguf(self) -> bool:
        return self in (ExportFormat.GGUF, ExportFormat.OLLAMA)


@dataclass(frozen=True)
class GgufType:
    """A type of numbers: so many values share a block of so many bytes. `file_type` is llama.cpp's number."""

    name: str
    file_type: int
    block_values: int
    block_bytes: int

    @property
    def is_quantized(self) -> bool:
        return self.block_values > 1


GGUF_TYPES: Mapping[str, GgufType] = {
    known.name: known
    for known in (
        GgufType("f16", 1, 1, 2),
        GgufType("bf16", 32, 1, 2),
        GgufType("q8_0", 7, 32, 34),
        GgufType("q4_0", 2, 32, 18),
        GgufType("q4_1", 3, 32, 20),
        GgufType("q5_0", 8, 32, 22),
        GgufType("q5_1", 9, 32, 24),
    )
}
DEFAULT_GGUF_TYPE = "f16"
