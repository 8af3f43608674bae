"""What was computed of earlier prompts: the KV caches of the conversations answered last."""

from __future__ import annotations

from typing import Any

from mlx_lm.models.cache import LRUPromptCache

from forgellm.inference.resident import Resident

Cache = list[Any]


class KnownPrompts:
    """mlx-lm's prompt cache, for one resident model with and without its adapter."""

    def __init__(self, resident: Resident, *, conversations: int, cache_bytes: int) -> None:
        self._resident = resident
        self._cache = LRUPromptCache(conversations, cache_bytes)

    def find(self, tokens: list[int], *, plain_base: bool) -> tuple[Cache | None, list[int]]:
        """(the cache of the longest known beginning of `tokens`, the tokens behind it, at least one)."""
        key = self._resident.cache_key(plain_base=plain_base)
        cached, rest = self._cache.fetch_nearest_cache(key, tokens)
        if rest:
            return cached, rest
        cached, rest = self._cache.fetch_nearest_cache(key, tokens[:-1])
        return cached, [*rest, tokens[-1]]

    def keep(self, tokens: list[int], cache: Cache, *, plain_base: bool) -> None:
        """Remember what was computed of `tokens`."""
        self._cache.insert_cache(self._resident.cache_key(plain_base=plain_base), list(tokens), cache)
