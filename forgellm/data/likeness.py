"""Keys of documents and examples: two that have one in common are equal, or nearly, and must not be parted.

Documents are nearly equal where about nine tenths of their runs of five tokens are the same (MinHash, six
bands of five); what a report lists for a person is `duplicates`' part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from forgellm.data.documents import Document
from forgellm.data.records import Example
from forgellm.data.sequences import Tokens

_RUN = 5
_BANDS, _IN_A_BAND = 6, 5
_FEWEST_RUNS = 40
"""Of fewer too little is known to call two documents alike."""

_NONE = np.uint32(0xFFFFFFFF)
_BLOCK = 1 << 16

Words = npt.NDArray[np.uint32]


def example_keys(example: Example) -> tuple[int, int]:
    """One of all that is said but for case, white space and system prompt; one of what is asked."""
    said = [(m.role, " ".join(m.content.split()).casefold()) for m in example.messages if m.role != "system"]
    asked = [content for role, content in said if role != "assistant"]
    return _key(repr(said)), _key(repr(asked)) if asked else 0


def document_key(document: Document) -> int:
    """Of its text without the white space around it."""
    return _key(document.text.strip())


def sketch(documents: Sequence[Tokens]) -> npt.NDArray[np.uint64]:
    """The other keys of documents, uint64 [count, 6], from their tokens; 0 where one is too short."""
    lengths = np.array([len(ids) for ids in documents], np.int64)
    long = np.flatnonzero(lengths >= _FEWEST_RUNS + _RUN)
    keys = np.zeros((len(documents), _BANDS), np.uint64)
    if len(long):
        ends = np.cumsum(lengths[long])
        runs = _runs(np.concatenate([documents[int(n)] for n in long]))
        # A run that reaches into the next document is none.
        reaching = np.unique(np.concatenate([ends - back for back in range(1, _RUN)]))
        keys[long] = _bands(_least(runs, ends - lengths[long], reaching))
    return keys


def _runs(ids: Tokens) -> Words:
    """A hash of the five tokens from each on, uint32 [len(ids)]; the last four see fewer."""
    wide = np.concatenate([ids.astype(np.uint32), np.zeros(_RUN - 1, np.uint32)])
    hashes = np.zeros(len(ids), np.uint32)
    for n in range(_RUN):
        hashes = (hashes ^ wide[n : n + len(ids)]) * np.uint32(0x9E3779B1)
        hashes ^= hashes >> np.uint32(15)
    return hashes


def _least(runs: Words, begins: npt.NDArray[np.int64], reaching: npt.NDArray[np.int64]) -> Words:
    """The least hash of each document in each of 30 orders of the hashes, uint32 [documents, 30]."""
    rng = np.random.default_rng(5)
    factors = rng.integers(0, 2**32, (_BANDS * _IN_A_BAND, 1), dtype=np.uint32) | np.uint32(1)
    summands = rng.integers(0, 2**32, (_BANDS * _IN_A_BAND, 1), dtype=np.uint32)
    least = np.full((len(begins), len(factors)), _NONE, np.uint32)
    for start in range(0, len(runs), _BLOCK):
        end = min(start + _BLOCK, len(runs))
        ordered = runs[start:end] * factors + summands
        low, high = np.searchsorted(reaching, (start, end))
        ordered[:, reaching[low:high] - start] = _NONE
        first, last = np.searchsorted(begins, start, side="right") - 1, np.searchsorted(begins, end)
        places = np.maximum(begins[first:last] - start, 0)
        least[first:last] = np.minimum(least[first:last], np.minimum.reduceat(ordered, places, axis=1).T)
    return least


def _bands(least: Words) -> npt.NDArray[np.uint64]:
    """One key for each band of hashes; the number of the band is in it."""
    keys = np.tile(np.arange(1, _BANDS + 1, dtype=np.uint64), (len(least), 1))
    for column in least.reshape(len(least), _BANDS, _IN_A_BAND).transpose(2, 0, 1):
        keys = (keys ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys | np.uint64(1)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1
