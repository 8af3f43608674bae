"""Texts that are the same, and texts that are nearly the same. Only hashes are kept, never the texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from forgellm.data.shingles import LOOKED_AT, shingles

_BANDS = 16
_IN_BAND = 8
"""Two texts that share 0.85 of their shingles have a band in common 994 times in 1,000."""

_SEED = 20
MOST_COMPARED = 500_000
_WAITING = 1 << 20
"""Characters that are hashed at once."""

Signatures = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint32]


class NearDuplicates:
    """Finds texts of which most triples of words are the same, by MinHash and banded hashing.

    Texts are numbered from 0 as they are added; each takes 192 bytes. Beyond `most` texts no more are looked
    at. What is found does not depend on the machine or on how texts are gathered.
    """

    def __init__(self, *, threshold: float = 0.85, most: int = MOST_COMPARED) -> None:
        self._threshold = threshold
        self._most = most
        self._waiting: list[str] = []
        self._characters = 0
        self._signatures: list[Signatures] = []
        self._keys: list[Keys] = []
        self._worded: list[npt.NDArray[np.bool_]] = []
        self.count = 0

    def add(self, text: str) -> bool:
        """Take the next text; False where there are too many of them already."""
        if self.count == self._most:
            return False
        self.count += 1
        self._waiting.append(text[:LOOKED_AT])
        self._characters += min(len(text), LOOKED_AT)
        if self._characters >= _WAITING:
            self._hash()
        return True

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(later, earlier) once for each text that is nearly one before it, in order."""
        self._hash()
        if not self._keys:
            return
        keys, signatures = np.concatenate(self._keys), np.concatenate(self._signatures)
        candidates = [_same_band(keys[:, band]) for band in range(_BANDS)]
        later = np.concatenate([one for one, _ in candidates])
        earlier = np.concatenate([other for _, other in candidates])
        worded = np.concatenate(self._worded)
        both = worded[later] & worded[earlier]
        found = _alike(signatures, later[both], earlier[both], threshold=self._threshold)
        first: dict[int, int] = {}
        for one, other in found:
            first[one] = min(other, first.get(one, other))
        yield from sorted(first.items())

    def _hash(self) -> None:
        if not self._waiting:
            return
        hashes, offsets = shingles(self._waiting)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, _BANDS * _IN_BAND, _SEED)
        digests = np.array(matrix.to_rows(), dtype=np.uint32)
        self._signatures.append(digests.astype(np.uint8))
        self._keys.append(_band_keys(digests))
        self._worded.append(np.diff(offsets) > 0)
        self._waiting, self._characters = [], 0


def content_key(text: str) -> bytes:
    """16 bytes that are the same for texts that differ in white space alone."""
    digest = hashlib.blake2b(digest_size=16)
    begun = gap = False
    for start in range(0, len(text), _WAITING):
        piece = text[start : start + _WAITING]
        if words := piece.split():
            space = " " if begun and (gap or piece[0].isspace()) else ""
            digest.update((space + " ".join(words)).encode("utf-8", "surrogatepass"))
        begun, gap = begun or bool(words), piece[-1].isspace()
    return digest.digest()


def _band_keys(digests: npt.NDArray[np.uint32]) -> Keys:
    """One number for each band of each row, uint32 [rows, bands]."""
    factors = np.uint32(2654435761) ** np.arange(1, _IN_BAND + 1, dtype=np.uint32)
    bands = digests.reshape(len(digests), _BANDS, _IN_BAND)
    mixed = (bands ^ (bands >> np.uint32(15))) * factors
    keys: Keys = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint32(13)), axis=2)
    return keys


def _same_band(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(later, earlier) rows with the same key: each with the one before it and with the first of all."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    begins = np.concatenate([[True], ~same])
    first = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]][1:]
    later = order[1:][same]
    return np.concatenate([later, later]), np.concatenate([order[:-1][same], first[same]])


def _alike(
    signatures: Signatures,
    later: npt.NDArray[np.int64],
    earlier: npt.NDArray[np.int64],
    *,
    threshold: float,
) -> Iterator[tuple[int, int]]:
    """The candidates that are alike enough. One byte of each place is kept, so 1 in 256 agrees by chance."""
    pairs = np.unique(np.stack([later, earlier], axis=1), axis=0)
    for start in range(0, len(pairs), 1 << 16):
        part = pairs[start : start + (1 << 16)]
        agree = (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1)
        for one, other in part[(agree - 1 / 256) / (1 - 1 / 256) >= threshold]:
            yield int(one), int(other)
