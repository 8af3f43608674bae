"""How much an engine takes on."""

from __future__ import annotations

from dataclasses import dataclass

from forgellm.storage.targets import Source


@dataclass(frozen=True)
class EngineOptions:
    """`at_once` answers are computed together, `waiting` more may queue. After `idle_seconds` without a
    request the model is unloaded; None keeps it. `cache_bytes` and `conversations` bound what is kept of
    earlier turns. With `kv_bits` (4 or 8) the KV cache is quantized: a quarter of the memory or less, and
    slower. A `draft` model of the same tokenizer proposes tokens. Both answer one request after the other.
    """

    at_once: int = 8
    waiting: int = 32
    idle_seconds: float | None = None
    cache_bytes: int = 2 * 2**30
    conversations: int = 16
    kv_bits: int | None = None
    draft: Source | None = None

    @property
    def one_by_one(self) -> bool:
        """Whether answers are computed one after the other."""
        return self.kv_bits is not None or self.draft is not None
