"""What the model said, in the tokens in which it said it.

A model may spell a word, or two line breaks, in other tokens than its tokenizer would. When its answer comes
back as text in the next turn, the usual tokens would be other ones from there on, and all that was computed
of the conversation behind them would be lost. So an answer that comes back unchanged, behind the unchanged
conversation, is read as the tokens that it was made of.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

_ANSWERS = 256
"""Remembered at a time; those that came up longest ago are forgotten first."""

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class _Answer:
    """`text` where it stands: behind `start` characters of the digest `before`."""

    start: int
    before: bytes
    text: str


class SpokenAnswers:
    """Filled by the engine's thread, asked by all. `markers` are the texts of special tokens: where one
    follows, the tokens of an answer do not depend on what comes next, nor that on them.
    """

    def __init__(self, markers: Sequence[str], *, at_most: int = _ANSWERS) -> None:
        self._markers = tuple(markers)
        self._at_most = at_most
        self._lock = threading.Lock()
        self._known: OrderedDict[_Answer, array[int]] = OrderedDict()

    def remember(self, before: str, text: str, tokens: Sequence[int]) -> None:
        """To the prompt `before`, the model has answered `text` in `tokens`."""
        answer = _Answer(len(before), blake2b(before.encode()).digest(), text)
        with self._lock:
            self._known[answer] = array("q", tokens)
            self._known.move_to_end(answer)
            while len(self._known) > self._at_most:
                self._known.popitem(last=False)

    def tokens(self, text: str, encode: Encode) -> list[int]:
        """The tokens of a rendered conversation; `encode` has those of what the model has not said."""
        found: list[int] = []
        for part in self._parts(text):
            if isinstance(part, str):
                found += encode(part) if part else []
            else:
                found += part
        return found

    def _parts(self, text: str) -> Iterator[str | array[int]]:
        at, hashed, before = 0, 0, blake2b()
        for answer in self._standing_in(text):
            if answer.start < at:
                continue
            before.update(text[hashed : answer.start].encode())
            hashed = answer.start
            if before.digest() != answer.before:
                continue
            with self._lock:
                tokens = self._known.get(answer)
                if tokens is None:
                    continue
                self._known.move_to_end(answer)
            yield text[at : answer.start]
            yield tokens
            at = answer.start + len(answer.text)
        yield text[at:]

    def _standing_in(self, text: str) -> list[_Answer]:
        """Those whose own text stands in its place, from the first on, of two in one place the longer."""
        with self._lock:
            known = list(self._known)
        standing = [
            answer
            for answer in known
            if text.startswith(answer.text, answer.start)
            and text.startswith(self._markers, answer.start + len(answer.text))
        ]
        return sorted(standing, key=lambda answer: (answer.start, -len(answer.text)))
