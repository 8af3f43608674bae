"""Texts as sets of three words in a row, hashed, so that sets of different texts can be compared.

A word is what stands between spaces and punctuation, in lower case; a Chinese or Japanese character or a
Korean syllable is a word of its own. It is done on arrays: a loop over the words of a dataset takes minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WORDS = 3
LOOKED_AT = 1 << 18
"""Characters: a text that is longer is compared by its beginning."""

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint64]

_LONGEST_WORD = 64
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SEPARATOR = "\n\n"


def shingles(texts: Sequence[str]) -> tuple[Hashes, Offsets]:
    """(hashes of all texts, where each text's begin and the last one's end). A text without words has none.

    One with fewer than three words has the one hash of them all.
    """
    pieces = [text[:LOOKED_AT].lower().encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(piece) + len(_SEPARATOR) for piece in pieces], dtype=np.int64)
    data = np.frombuffer(_SEPARATOR.encode().join([*pieces, b""]), dtype=np.uint8)
    starts, words = _words(data)
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    return _joined(words, counts.astype(np.int64))


def _words(data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], Hashes]:
    """Where each word begins, and its hash: a polynomial in its bytes."""
    of_word = _IN_WORDS[data] & ~_punctuation(data)
    before = np.concatenate([[False], of_word[:-1]])
    begins = of_word & (~before | _ALONE[data])
    starts = np.flatnonzero(begins)
    if len(starts) == 0:
        return starts, np.zeros(0, np.uint64)
    place = np.arange(len(data)) - starts[np.maximum(np.cumsum(begins) - 1, 0)]
    weighed = _POWERS[np.clip(place, 0, _LONGEST_WORD - 1)] * (data.astype(np.uint64) + np.uint64(1))
    weighed[~of_word] = 0
    return starts, np.add.reduceat(weighed, starts)


def _punctuation(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Dashes, quotes and spaces beyond ASCII: U+0080 to U+00BF, U+2000 to U+207F, U+3000 to U+303F."""
    first = data[:-1].astype(np.uint16) << 8 | data[1:]
    found = np.zeros(len(data), np.bool_)
    found[:-1] = (first >> 8 == 0xC2) | np.isin(first, (0xE280, 0xE281, 0xE380))
    wide = found & (data != 0xC2)
    found[1:] |= found[:-1]
    found[2:] |= wide[:-2]
    return found


def _joined(words: Hashes, counts: npt.NDArray[np.int64]) -> tuple[Hashes, Offsets]:
    """Three hashes in a row to one, within each text."""
    first = np.repeat(np.cumsum(counts) - counts, counts)
    left = np.repeat(counts, counts) - (np.arange(len(words)) - first)
    mixed = words.copy()
    for step in range(1, WORDS):
        follows = left > step
        mixed = mixed * _ODD
        mixed[follows] += words[np.flatnonzero(follows) + step]
    # What begins in the last two words of a text is no whole shingle, unless the text has no more.
    short = np.repeat(counts, counts) < WORDS
    kept = (left >= WORDS) | (short & (left == np.repeat(counts, counts)))
    sizes = np.where(counts >= WORDS, counts - WORDS + 1, np.minimum(counts, 1))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    mixed = mixed[kept]
    return (mixed ^ (mixed >> np.uint64(29))) * _ODD, offsets


def _word_bytes() -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[[byte for byte in range(128) if chr(byte).isalnum()]] = True
    table[128:] = True
    return table


def _powers() -> Hashes:
    powers = np.ones(_LONGEST_WORD, np.uint64)
    powers[1:] = np.uint64(0x100000001B3)
    return np.multiply.accumulate(powers)


_IN_WORDS = _word_bytes()
_ALONE = np.isin(np.arange(256), np.arange(0xE3, 0xEE))
"""The bytes that characters from U+3000 to U+DFFF begin with: they stand without spaces between them."""
_POWERS = _powers()
