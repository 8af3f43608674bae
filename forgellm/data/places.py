"""Token ids of texts, and the byte of the text that each token begins at.

A tokenizer can say where its tokens lie, but that costs more than tokenising. So the bytes of each id are
looked up once, and what they sum to is checked against the text; only where it differs (a tokenizer that
normalises, a text with unknown characters) the tokenizer is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forgellm.data.sequences import Tokens
from forgellm.domain.errors import InvalidModel

Starts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """`ids` int32 [n] and `starts` int64 [n]: the byte each begins at, never falling.

    Two tokens of one character may begin at the same byte.
    """

    ids: Tokens
    starts: Starts


class Placer:
    """A tokenizer without the tokens it puts around a text: those are `lead` and `tail`."""

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._widths = _widths(self._backend)
        self.lead, self.tail = _around(self._backend)

    def place(self, texts: Sequence[str]) -> list[Placed]:
        """The tokens of texts, with the tokenizer's own threads."""
        encoded = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [
            self._placed(np.array(one.ids, np.int32), text) for one, text in zip(encoded, texts, strict=True)
        ]

    def _placed(self, ids: Tokens, text: str) -> Placed:
        widths = self._widths[ids]
        ends = np.cumsum(widths, dtype=np.int64)
        # A tokenizer that begins with a space of its own has one byte more.
        more = int(widths.sum()) - len(text.encode())
        if more == 0 or (more == 1 and not text.startswith(" ")):
            return Placed(ids, np.maximum(ends - widths - more, 0))
        return self._asked(text)

    def _asked(self, text: str) -> Placed:
        one = self._backend.encode(text, add_special_tokens=False)
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        sizes = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
        bytes_before = np.concatenate([[0], np.cumsum(sizes)])
        starts = bytes_before[np.array([start for start, _ in one.offsets], np.int64)]
        return Placed(np.array(one.ids, np.int32), np.maximum.accumulate(starts))


def _widths(backend: Any) -> npt.NDArray[np.int64]:
    """Bytes of text that each id stands for, int64 [vocabulary]."""
    settings = json.loads(backend.to_str())
    spelled_in_bytes = '"ByteLevel"' in json.dumps([settings["decoder"], settings["pre_tokenizer"]])
    vocabulary = backend.get_vocab(with_added_tokens=True)
    added = {token["id"]: token["content"] for token in settings["added_tokens"]}
    widths = np.zeros(max(vocabulary.values(), default=-1) + 1, np.int64)
    for text, index in vocabulary.items():
        if index in added:
            widths[index] = len(added[index].encode())
        elif spelled_in_bytes:
            widths[index] = len(text)
        elif len(text) == 6 and text.startswith("<0x"):
            widths[index] = 1
        else:
            widths[index] = len(text.replace("▁", " ").encode())
    return widths


def _around(backend: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and behind a text. Raises InvalidModel."""
    bare = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a").ids
    at = next((n for n in range(len(whole)) if whole[n : n + len(bare)] == bare), None)
    if at is None:
        raise InvalidModel(
            "the tokenizer makes other tokens of a text when it puts its own around it",
            suggestion="Use another model: where its tokens lie in a text cannot be known.",
        )
    return whole[:at], whole[at + len(bare) :]
