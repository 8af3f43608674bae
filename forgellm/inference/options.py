"""How much an engine takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """`at_once` answers are computed together, `waiting` more may queue. After `idle_seconds` without a
    request the model is unloaded; None keeps it. `cache_bytes` and `conversations` bound what is kept of
    earlier turns.
    """

    at_once: int = 8
    waiting: int = 32
    idle_seconds: float | None = None
    cache_bytes: int = 2 * 2**30
    conversations: int = 16
