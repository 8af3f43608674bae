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
from forgellm.data.split import Keys

_RUN = 5
_BANDS, _IN_A_BAND = 6, 5
_FEWEST_RUNS = 40
"""Of fewer too little is known to call two documents alike."""

_NONE = np.uint32(0xFFFFFFFF)
_BLOCK = 1 << 16

Words = npt.NDArray[np.uint32]


def example_keys(example: Example) -> tuple[int, int, int]:
    """One of all that is said but for case, white space and system prompt; one of what is asked; one of what
    was said up to the last answer but one."""
    said = _said(example)
    asked = [content for role, content in said if role != "assistant"]
    answers = [number for number, (role, _) in enumerate(said, 1) if role == "assistant"]
    begun = said[: answers[-2]] if len(answers) > 1 else []
    return _key(repr(said)), _key(repr(asked)) if asked else 0, _key(repr(begun)) if begun else 0


def preference_keys(chosen: Example, rejected: Example) -> tuple[int, int, int]:
    """One of what is said on either side, one of what is asked; none of what it goes on from."""
    return _key(repr([_said(chosen), _said(rejected)])), example_keys(chosen)[1], 0


def _said(example: Example) -> list[tuple[str, str]]:
    return [(m.role, " ".join(m.content.split()).casefold()) for m in example.messages if m.role != "system"]


def document_key(document: Document) -> int:
    """Of its text without the white space around it."""
    return _key(document.text.strip())


class Sketcher:
    """Takes the tokens of documents, part after part, and gives the other keys of those that are complete."""

    def __init__(self) -> None:
        self._parts: list[Tokens] = []
        self._lasts: list[bool] = []
        self._begun: Words = _nothing(1)[0]

    def add(self, ids: Tokens, *, last: bool) -> None:
        """The next part; with the last the document is complete."""
        self._parts.append(ids)
        self._lasts.append(last)

    def keys(self) -> Keys:
        """uint64 [documents, 6] of those completed since the last call; 0 where one is too short."""
        if not self._parts:
            return np.zeros((0, _BANDS), np.uint64)
        least = _least_of_all(self._parts)
        least[0] = np.minimum(least[0], self._begun)
        ends = np.flatnonzero(self._lasts) + 1
        complete = int(ends[-1]) if len(ends) else 0
        begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        documents = np.minimum.reduceat(least[:complete], begins) if complete else least[:0]
        self._begun = np.minimum.reduce(least[complete:], axis=0, initial=_NONE)
        self._parts, self._lasts = [], []
        return _bands(documents)


def sketch(documents: Sequence[Tokens]) -> Keys:
    """The other keys of whole documents, uint64 [documents, 6]."""
    sketcher = Sketcher()
    for ids in documents:
        sketcher.add(ids, last=True)
    return sketcher.keys()


def _least_of_all(parts: Sequence[Tokens]) -> Words:
    """The least hashes of each part, uint32 [parts, 30]; of one that is too short the highest number."""
    lengths = np.array([len(ids) for ids in parts], np.int64)
    long = np.flatnonzero(lengths >= _FEWEST_RUNS + _RUN)
    least = _nothing(len(parts))
    if len(long):
        ends = np.cumsum(lengths[long])
        runs = _runs(np.concatenate([parts[int(n)] for n in long]))
        # A run that reaches into the next part is none.
        reaching = np.unique(np.concatenate([ends - back for back in range(1, _RUN)]))
        least[long] = _least(runs, ends - lengths[long], reaching)
    return least


def _nothing(count: int) -> Words:
    return np.full((count, _BANDS * _IN_A_BAND), _NONE, np.uint32)


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
    least = _nothing(len(begins))
    for start in range(0, len(runs), _BLOCK):
        end = min(start + _BLOCK, len(runs))
        ordered = runs[start:end] * factors + summands
        low, high = np.searchsorted(reaching, (start, end))
        ordered[:, reaching[low:high] - start] = _NONE
        first, last = np.searchsorted(begins, start, side="right") - 1, np.searchsorted(begins, end)
        places = np.maximum(begins[first:last] - start, 0)
        least[first:last] = np.minimum(least[first:last], np.minimum.reduceat(ordered, places, axis=1).T)
    return least


def _bands(least: Words) -> Keys:
    """One key for each band of hashes; the number of the band is in it. 0 where there are none."""
    keys = np.tile(np.arange(1, _BANDS + 1, dtype=np.uint64), (len(least), 1))
    for column in least.reshape(len(least), _BANDS, _IN_A_BAND).transpose(2, 0, 1):
        keys = (keys ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    keys |= np.uint64(1)
    keys[(least == _NONE).all(axis=1)] = 0
    return keys


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1
