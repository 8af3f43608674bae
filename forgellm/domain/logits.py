"""How many logits exist at once: what the loss keeps to, and what is reckoned of its memory beforehand.

Counts of numbers, of float32 in the loss.
"""

from __future__ import annotations

WHOLE_LOGITS = 1 << 21
"""A batch with fewer logits, targets times vocabulary, has them whole: in blocks they would not be faster."""

BLOCK = 1 << 22
"""Logits of one block."""


def logits_at_once(targets: int, vocabulary: int) -> int:
    """The most logits that exist for so many targets: all, or those of a block."""
    whole = targets * vocabulary
    return whole if whole < WHOLE_LOGITS else min(whole, BLOCK)
