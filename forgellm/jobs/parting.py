"""Writing a new dataset with parts to validate on and to hold out; what is (nearly) equal is not parted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from forgellm.data.documents import Document
from forgellm.data.example_files import Part
from forgellm.data.likeness import document_key, example_keys, sketch
from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, TextRow
from forgellm.data.rows import Row
from forgellm.data.split import Keys, conversations, groups, hold_out
from forgellm.jobs.asked import Asked, Dataset, side_by_side
from forgellm.jobs.writing import Writing, writing

_LOOKED_AT = 1_000_000
"""Characters of a document that its likeness to others is told from."""


@dataclass(frozen=True)
class Shares:
    """Of what can be trained on: how much is validated on, how much is held out."""

    valid: float
    heldout: float
    seed: int


def split(
    asked: Asked, *, dataset: str, name: str, valid: float, heldout: float, seed: int, time: str
) -> dict[str, object]:
    """The rows and the documents of `dataset` in parts, as the dataset `name`; what is held out stays so."""
    found = Dataset(asked, dataset)
    shares = Shares(valid, heldout, seed)
    source = {"kind": "split", "from": dataset, **asdict(shares), "time": time}
    with writing(asked, name, source=source) as made:
        _split_rows(found, made, shares)
        _split_documents(found, made, shares)
        return made.answer(dataset)


def _split_rows(found: Dataset, made: Writing, shares: Shares) -> None:
    known = np.array([_row_keys(record) for _, _, record in _usable(found, made)], np.uint64)
    keys = conversations(known.reshape(-1, 3))
    parts = _drawn(keys, [1] * len(keys), shares=shares)
    for number, (file, values, _) in enumerate(_usable(found)):
        _write(found, made, file, part=parts[number], values=values)
    for kept in found.row_files:
        if kept.part != "train":
            for row, record in side_by_side(found.records(kept)):
                if isinstance(row, Row) and isinstance(record, Example | Preference | TextRow):
                    _write(found, made, kept.relative, part=kept.part, values=row.values)
                elif isinstance(record, Problem):
                    made.leave_out(record)


def _write(found: Dataset, made: Writing, file: str, *, part: Part, values: Mapping[str, object]) -> None:
    name = made.file_for(file, part)
    if name not in made.written:
        made.decide_as(found, file, name)
    made.row(name, values)


def _usable(
    found: Dataset, made: Writing | None = None
) -> Iterator[tuple[str, Mapping[str, object], Example | Preference | TextRow]]:
    """(file, row, what it comes to) of whatever can be trained on; `made` is told of the rest."""
    for file in found.row_files:
        if file.part != "train":
            continue
        for row, record in side_by_side(found.records(file)):
            if isinstance(row, Row) and isinstance(record, Example | Preference | TextRow):
                yield file.relative, row.values, record
            elif isinstance(record, Problem) and made is not None:
                made.leave_out(record)


def _split_documents(found: Dataset, made: Writing, shares: Shares) -> None:
    names: list[str] = []
    keys: list[tuple[int, ...]] = []
    sizes: list[int] = []
    prefix = found.folder.name + "/"
    for part, document in found.documents():
        if isinstance(document, Problem):
            made.leave_out(document)
            continue
        name = document.name.removeprefix(prefix)
        if part == "train":
            names.append(name)
            keys.append(_document_keys(document))
            # They differ a thousandfold in length.
            sizes.append(len(document.text))
        else:
            _copy(found, made, name, to=name)
    table = np.array(keys or [()], np.uint64)[: len(keys)]
    for name, part in zip(names, _drawn(table, sizes, shares=shares), strict=True):
        _copy(found, made, name, to=name if part == "train" else f"{part}/{name}")


def _copy(found: Dataset, made: Writing, name: str, *, to: str) -> None:
    made.copy(found.folder / name, to)


def _drawn(keys: Keys, sizes: Sequence[int], *, shares: Shares) -> list[Part]:
    """The part of each item."""
    labels = groups(keys)
    parts: list[Part] = ["train"] * len(keys)
    rest = np.arange(len(keys))
    left = 1.0
    wanted: list[tuple[Part, float]] = [("heldout", shares.heldout), ("valid", shares.valid)]
    for part, share in wanted:
        if share > 0 and len(rest):
            kept = np.unique(labels[rest], return_inverse=True)[1].astype(np.int64)
            weights = np.array(sizes, np.int64)[rest]
            trained, held = hold_out(kept, weights, fraction=share / left, seed=shares.seed)
            for number in rest[held]:
                parts[number] = part
            rest, left = rest[trained], left - share
    return parts


def _row_keys(record: Example | Preference | TextRow) -> tuple[int, int, int]:
    if isinstance(record, Example):
        return example_keys(record)
    if isinstance(record, TextRow):
        return document_key(Document(record.file, record.text)), 0, 0
    return example_keys(Example((*record.prompt, *record.chosen), record.file, record.line))


def _document_keys(document: Document) -> tuple[int, ...]:
    words = [zlib.crc32(word.encode()) & 0x7FFFFFFF for word in document.text[:_LOOKED_AT].split()]
    return (document_key(document), *map(int, sketch([np.array(words, np.int32)])[0]))
