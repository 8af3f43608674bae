"""What a model will see of a dataset: rows as they are trained on, token by token, with what is learned.

Works on the items that are handed in; reading and paging them is for the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from forgellm.data.chunks import rows
from forgellm.data.documents import Document
from forgellm.data.encoding import Encoded, encode_documents
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.places import Placer, Starts
from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, sides
from forgellm.data.sequences import Learned, Tokens

LOOKED_AT = 1 << 20
"""Characters of a document: of a longer one the chunks of its beginning are shown, not how many it has."""


@dataclass(frozen=True)
class Piece:
    """One token: the text it stands for, its id, and whether the model learns to say it.

    A character may be several tokens: all but the first of them have an empty text.
    """

    text: str
    id: int
    learned: bool


@dataclass(frozen=True)
class PreviewRow:
    """One row of a corpus: an example, or a chunk of a document (`chunk` counts from 1, of `chunks`, which
    is None where it was not read to its end).

    `tokens` counts all of them, `pieces` are those that are kept, so a row is cut where `cut` is above 0:
    that many tokens at its end are left out. `problem` is why it cannot be trained on; it has no pieces then.
    """

    file: str
    line: int | None
    pieces: Sequence[Piece]
    tokens: int
    learned: int
    cut: int = 0
    chunk: int | None = None
    chunks: int | None = None
    problem: str | None = None


def preview(
    items: Iterable[Document | Example | Preference],
    *,
    tokenizer: Any,
    max_seq_length: int,
    chunk_overlap: int = 0,
    looked_at: int = LOOKED_AT,
) -> Iterator[PreviewRow]:
    """The rows that items become, in order; each document by itself, though short ones share a row.

    A preference gives two rows: what is chosen, then what is rejected.
    """
    placer = Placer(tokenizer)
    names = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    for kind, group in groupby(items, key=lambda item: isinstance(item, Document)):
        if kind:
            documents = (item for item in group if isinstance(item, Document))
            cut: deque[bool] = deque()
            begun = _begun(documents, cut, most=max(looked_at, 16 * max_seq_length))
            for one in encode_documents(tokenizer, begun):
                shown = _Shown(one, one.document.text.encode(), len(placer.lead), names, cut.popleft())
                yield from shown.chunks(length=max_seq_length, overlap=chunk_overlap)
        else:
            conversations = (one for item in group for one in _conversations(item))
            for example in encode_examples(tokenizer, conversations):
                yield _row(example, names, length=max_seq_length)


def _begun(documents: Iterable[Document], cut: deque[bool], *, most: int) -> Iterator[Document]:
    """The documents, of long ones the beginning; `cut` is told which those are."""
    for document in documents:
        cut.append(len(document.text) > most)
        yield replace(document, text=document.text[:most]) if cut[-1] else document


@dataclass(frozen=True)
class _Shown:
    """A document in tokens with its text in UTF-8, and how many tokens the tokenizer puts before it."""

    encoded: Encoded
    data: bytes
    lead: int
    names: Mapping[int, str]
    is_cut: bool

    def chunks(self, *, length: int, overlap: int) -> Iterator[PreviewRow]:
        document, at = self.encoded.document, 0
        found: Iterable[tuple[Tokens, Learned]]
        found = rows([(self.encoded.ids, self.encoded.marks)], length=length, overlap=overlap)
        count = None
        if not self.is_cut:
            found = list(found)
            count = len(found)
        for number, (ids, learned) in enumerate(found, 1):
            # What follows decides where a row ends, up to a row behind it.
            if self.is_cut and at + 2 * length > len(self.encoded.ids):
                return
            begin = at - int(np.argmax(learned))
            pieces = _pieces(ids, learned, self._texts(begin, begin + len(ids)))
            taught = sum(piece.learned for piece in pieces)
            yield PreviewRow(
                document.name, document.line, pieces, len(ids), taught, chunk=number, chunks=count
            )
            at = begin + len(ids)

    def _texts(self, begin: int, end: int) -> list[str]:
        starts = self.encoded.starts
        after = int(starts[end]) if end < len(starts) else len(self.data)
        first = min(max(begin, self.lead), end)
        bounds = [_character(self.data, place) for place in _bounds(starts[first:end], after)]
        texts = [self.data[a:b].decode() for a, b in pairwise(bounds)]
        return _named([""] * (first - begin) + texts, self.encoded.ids[begin:end], self.names)


def _row(
    found: EncodedExample | tuple[Example, Problem], names: Mapping[int, str], *, length: int
) -> PreviewRow:
    if not isinstance(found, EncodedExample):
        example, problem = found
        return PreviewRow(example.file, example.line, (), 0, 0, problem=problem.reason)
    bounds = _bounds(found.starts, len(found.text))
    texts = _named([found.text[a:b] for a, b in pairwise(bounds)], found.ids, names)
    pieces = _pieces(found.ids[:length], found.learned[:length], texts)
    taught = sum(piece.learned for piece in pieces)
    return PreviewRow(
        found.example.file,
        found.example.line,
        pieces,
        len(found.ids),
        taught,
        cut=max(0, len(found.ids) - length),
        problem=None if taught else "has nothing to learn before it is cut",
    )


def _conversations(item: Document | Example | Preference) -> tuple[Example, ...]:
    if isinstance(item, Preference):
        return sides(item)
    return () if isinstance(item, Document) else (item,)


def _pieces(ids: Tokens, learned: Learned, texts: Sequence[str]) -> list[Piece]:
    """The first token of a row is seen and never learned."""
    taught = [False, *learned.tolist()[1:]]
    return [Piece(text, index, one) for text, index, one in zip(texts, ids.tolist(), taught, strict=False)]


def _bounds(starts: Starts, end: int) -> list[int]:
    """Where the text of each token begins, and the last ends: of tokens that begin at one place the first
    has all of it."""
    after = np.append(starts, end)[np.searchsorted(starts, starts, side="right")]
    again = np.append(False, starts[1:] == starts[:-1])[: len(starts)]
    return [*np.where(again, after, starts).tolist(), end]


def _character(data: bytes, place: int) -> int:
    """The first character that begins at `place` or behind it."""
    while place < len(data) and (data[place] & 0xC0) == 0x80:
        place += 1
    return place


def _named(texts: Sequence[str], ids: Tokens, names: Mapping[int, str]) -> list[str]:
    """Special tokens that have no text of their own are shown by name."""
    return [text or names.get(index, "") for text, index in zip(texts, ids.tolist(), strict=True)]
