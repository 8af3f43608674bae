"""A dataset, from its files to a store of tokens: read, tokenised and keyed as one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.encoding import encode_parts
from forgellm.data.example_files import Part
from forgellm.data.likeness import Sketcher, document_key, example_keys, preference_keys
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.places import Placer
from forgellm.data.preferences import REJECTED, Preference
from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.reached import Reached
from forgellm.data.records import Example, sides
from forgellm.data.sources import MOST_PROBLEMS, Item, Kind, items, nothing, too_many
from forgellm.data.split import Keys
from forgellm.data.token_store import StoreWriter

PARTS: tuple[Part, ...] = ("train", "valid")

Attend = Callable[[float], None]
"""Called about once a second while tokens are made, with the share of the dataset that was read."""

_SKETCHED = 1 << 19
_NOTES = 100
_ATTENDED = 5_000


def fill(writer: StoreWriter, dataset: Path, kind: Kind, *, tokenizer: Any, attend: Attend) -> None:
    """Write the part train and then the part valid of a dataset; what `attend` raises ends it.

    The store's facts are how many items each part has, the tokens before each document as `lead`, and up to
    100 notes. Raises InvalidDataset with what is wrong with the rows.
    """
    reading = _Reading(dataset, kind)
    keys: list[Keys] = []
    counts: dict[str, int] = {}
    for part in PARTS:
        before = len(writer)
        if kind == "documents":
            keys += _write_documents(writer, reading, part, tokenizer=tokenizer, attend=attend)
        elif kind == "examples":
            keys += _write_examples(writer, reading, part, tokenizer=tokenizer, attend=attend)
        else:
            keys += _write_preferences(writer, reading, part, tokenizer=tokenizer, attend=attend)
        counts[part] = len(writer) - before
    if not counts["train"] and not reading.problems:
        reading.problems.append(nothing(dataset.name, kind))
    if reading.problems:
        raise invalid_dataset(dataset.name, reading.problems)
    lead = len(Placer(tokenizer).lead) if kind == "documents" else 0
    writer.finish(np.concatenate(keys), {**counts, "lead": lead, "notes": reading.notes})


class _Reading:
    """The items of a dataset; problems and notes are put aside.

    After the first problem nothing is handed on: what follows is only read for further ones.
    """

    def __init__(self, dataset: Path, kind: Kind) -> None:
        self._dataset = dataset
        self._kind = kind
        self.reached = Reached(dataset, kind, PARTS)
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def documents(self, part: Part) -> Iterator[Document]:
        for item in self._items(part):
            if isinstance(item, Document):
                yield item

    def examples(self, part: Part) -> Iterator[Example]:
        for item in self._items(part):
            if isinstance(item, Example):
                yield item

    def pairs(self, part: Part) -> Iterator[Example]:
        """Both sides of every preference, first the chosen one."""
        for item in self._items(part):
            if isinstance(item, Preference):
                yield from sides(item)

    def refuse(self, problem: Problem) -> None:
        """Put aside what the chat template has against an example."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def _items(self, part: Part) -> Iterator[Item]:
        for item in items(self._dataset, self._kind, part):
            if isinstance(item, Problem) and item.severity == "note":
                self.notes += [str(item)] if len(self.notes) < _NOTES else []
            elif isinstance(item, Problem):
                self.problems.append(item)
            elif not self.problems:
                yield item
            if len(self.problems) >= MOST_PROBLEMS:
                self.problems.append(too_many(self._dataset.name))
                return


def _write_documents(
    writer: StoreWriter, reading: _Reading, part: Part, *, tokenizer: Any, attend: Attend
) -> Iterator[Keys]:
    sketcher, exact = Sketcher(), []
    waiting = 0
    for piece in encode_parts(tokenizer, reading.documents(part), placer=Placer(tokenizer)):
        writer.add(piece.ids, piece.marks, last=piece.last)
        sketcher.add(piece.ids, last=piece.last)
        exact += [document_key(piece.document)] if piece.last else []
        waiting += len(piece.ids)
        if len(piece.starts):
            reading.reached.add(piece.document.name, int(piece.starts[-1] - piece.starts[0]))
        if waiting >= _SKETCHED:
            yield _keys(exact, sketcher)
            exact, waiting = [], 0
            attend(reading.reached.share)
    yield _keys(exact, sketcher)


def _keys(exact: list[int], sketcher: Sketcher) -> Keys:
    return np.column_stack([np.array(exact, np.uint64), sketcher.keys()])


def _write_examples(
    writer: StoreWriter, reading: _Reading, part: Part, *, tokenizer: Any, attend: Attend
) -> Iterator[Keys]:
    keys: list[tuple[int, int, int]] = []
    for encoded in encode_examples(tokenizer, reading.examples(part)):
        if isinstance(encoded, EncodedExample):
            writer.add(encoded.ids, encoded.learned)
            keys.append(example_keys(encoded.example))
            reading.reached.add(encoded.example.file, len(encoded.text))
            if len(keys) % _ATTENDED == 0:
                attend(reading.reached.share)
        else:
            reading.refuse(encoded[1])
    yield np.array(keys, np.uint64).reshape(-1, 3)


def _write_preferences(
    writer: StoreWriter, reading: _Reading, part: Part, *, tokenizer: Any, attend: Attend
) -> Iterator[Keys]:
    """Both sides of a pair are one item, so that no split and no draw parts them."""
    keys: list[tuple[int, int, int]] = []
    encoded = encode_examples(tokenizer, reading.pairs(part))
    for chosen, rejected in zip(encoded, encoded, strict=True):
        if isinstance(chosen, tuple) or isinstance(rejected, tuple):
            reading.refuse(next(side[1] for side in (chosen, rejected) if isinstance(side, tuple)))
            continue
        writer.add(chosen.ids, chosen.learned, last=False)
        marks = rejected.learned.astype(np.uint8)
        marks[0] |= REJECTED
        writer.add(rejected.ids, marks)
        keys.append(preference_keys(chosen.example, rejected.example))
        reading.reached.add(chosen.example.file, len(chosen.text) + len(rejected.text))
        if len(keys) % _ATTENDED == 0:
            attend(reading.reached.share)
    yield np.array(keys, np.uint64).reshape(-1, 3)
