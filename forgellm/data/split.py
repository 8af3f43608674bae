"""Holding out a part for validation, without leakage: equal items always fall on the same side."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence

_SEPARATORS = ("\n\n", "\n", ". ", " ")
_OVERSHOOT = 1.5
"""A group is passed over when it would take the held-out share beyond this multiple of what was asked."""


def hold_out(
    keys: Sequence[Hashable], sizes: Sequence[int], *, fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """(trained on, held out): indices of items whose sizes sum to about `fraction` of the whole.

    Items with equal keys stay together. Where every group is too large the smallest is held out. With
    fewer than two different keys nothing is.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    if len(groups) < 2:
        return list(range(len(keys))), []
    members = list(groups.values())
    weights = [sum(sizes[i] for i in group) for group in members]
    chosen = _draw(weights, target=fraction * sum(weights), seed=seed)
    held = {index for n in chosen for index in members[n]}
    return [i for i in range(len(keys)) if i not in held], sorted(held)


def _draw(weights: Sequence[int], *, target: float, seed: int) -> list[int]:
    order = list(range(len(weights)))
    random.Random(f"hold out {seed}").shuffle(order)
    chosen: list[int] = []
    total = 0
    for n in order:
        if total >= target:
            break
        if total + weights[n] <= _OVERSHOOT * target:
            chosen.append(n)
            total += weights[n]
    return chosen or [min(order, key=lambda n: weights[n])]


def cut_in_two(text: str, fraction: float) -> tuple[str, str]:
    """A text as (beginning, end), the end about `fraction` of it, cut between paragraphs where it has any."""
    wanted = round(len(text) * (1.0 - fraction))
    for separator in _SEPARATORS:
        places = _places(text, separator)
        if places:
            at = min(places, key=lambda place: abs(place - wanted))
            return text[:at], text[at:]
    return text[:wanted], text[wanted:]


def _places(text: str, separator: str) -> list[int]:
    """Where a piece begins after `separator`, with text on both sides."""
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    places, at = [], text.find(separator, first)
    while 0 <= at < last - len(separator):
        places.append(at + len(separator))
        at = text.find(separator, at + len(separator))
    return places
