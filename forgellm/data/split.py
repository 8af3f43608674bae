"""Holding out a part for validation, without leakage: equal and nearly equal items fall on the same side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_OVERSHOOT = 1.5
"""A group is passed over when it would take the held-out share beyond this multiple of what was asked."""


def split(keys: Keys, sizes: npt.NDArray[np.int64], *, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """(trained on, held out): indices of items by their keys; the first kind of key says what is equal.

    Where all are nearly equal, equal ones alone are kept together.
    """
    labels = groups(keys)
    if labels.max(initial=0) == 0:
        labels = groups(keys[:, :1])
    return hold_out(labels, sizes, fraction=fraction, seed=seed)


def conversations(keys: Keys) -> Keys:
    """`keys` of examples, the third of where among them the conversation begins that each goes on from.

    Data are often made of conversations by taking an example for each answer, with all that was said before:
    what is measured in one would be learned in the next. Those that only begin alike stay apart.
    """
    said, before = keys[:, 0], keys[:, 2]
    order = np.argsort(said)
    found = order[np.minimum(np.searchsorted(said, before, sorter=order), max(len(order) - 1, 0))]
    source = np.where(said[found] == before, found, np.arange(len(said)))
    while not np.array_equal(further := source[source], source):
        source = further
    return np.column_stack([keys[:, :2], said[source]])


def groups(keys: Keys) -> Indices:
    """A group's number for each item, int64 [n], from keys uint64 [n, kinds].

    Items are together where they have a key of one kind in common, also by way of others; 0 is no key.
    """
    labels = np.arange(len(keys), dtype=np.int64)
    kinds = [(np.flatnonzero(kind), np.unique(kind[kind != 0], return_inverse=True)[1]) for kind in keys.T]
    while True:
        before = labels.copy()
        for items, inverse in kinds:
            least = np.full(int(inverse.max(initial=-1)) + 1, len(keys), np.int64)
            np.minimum.at(least, inverse, labels[items])
            labels[items] = least[inverse]
        if np.array_equal(before, labels):
            return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def hold_out(
    labels: Indices, sizes: npt.NDArray[np.int64], *, fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """(trained on, held out): indices of items whose sizes sum to about `fraction` of the whole.

    Items with equal labels, which count from 0, stay together. Where every group is too large the smallest
    is held out. With fewer than two groups nothing is.
    """
    weights = np.bincount(labels, weights=sizes).astype(np.float64)
    if len(weights) < 2:
        return np.arange(len(labels)), np.zeros(0, np.int64)
    chosen = np.zeros(len(weights), np.bool_)
    chosen[_draw(weights, target=fraction * float(weights.sum()), seed=seed)] = True
    held = chosen[labels]
    return np.flatnonzero(~held), np.flatnonzero(held)


def _draw(weights: npt.NDArray[np.float64], *, target: float, seed: int) -> list[int]:
    order = np.random.default_rng((seed, _HELD_OUT)).permutation(len(weights))
    chosen: list[int] = []
    total = 0.0
    for n in order:
        if total >= target:
            break
        if total + weights[n] <= _OVERSHOOT * target:
            chosen.append(int(n))
            total += float(weights[n])
    return chosen or [int(order[np.argmin(weights[order])])]


# Beside those of `shaping`: no two draws use the same random numbers.
_HELD_OUT = 4
