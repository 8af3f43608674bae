"""Texts that are the same, and texts that are nearly the same. Only hashes are kept, never the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class NearDuplicates:
    """Finds texts that share most of their words, by MinHash and banded hashing.

    Texts are numbered from 0 as they are added. Beyond `most` texts no more are looked at.
    """

    def __init__(self, *, threshold: float = 0.85, most: int = 1_000_000) -> None:
        raise NotImplementedError

    def add(self, texts: Sequence[str]) -> None:
        """Take the next texts; many at a time are faster."""

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(later, earlier) for each text that is nearly one before it; the first such is named."""
        raise NotImplementedError


def content_key(text: str) -> bytes:
    """16 bytes that are the same for texts that differ in white space alone."""
    raise NotImplementedError
