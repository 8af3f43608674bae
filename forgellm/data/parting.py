"""Which items of a dataset's tokens are trained on and which are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forgellm.data.chunks import cut_near
from forgellm.data.documents import document_files
from forgellm.data.example_files import row_files
from forgellm.data.problems import invalid_dataset
from forgellm.data.records import RecordFile
from forgellm.data.sources import Kind, too_short
from forgellm.data.split import Indices, conversations, split
from forgellm.data.token_store import Span, TokenStore
from forgellm.storage.decisions import read_decisions

_NAMED = 3


@dataclass(frozen=True)
class Parted:
    """Items by number, those trained on and those measured on; `said` is in words how that came about.

    Of a dataset with one document alone, `end` is the stretch of it that is measured on and not trained on.
    """

    train: Indices
    valid: Indices
    said: str
    end: Span | None = None

    def training_spans(self, store: TokenStore) -> list[Span]:
        """The stretches of tokens that are trained on, item after item."""
        spans = [store.span(int(item)) for item in self.train]
        return spans if self.end is None else [(spans[0][0], self.end[0])]


def part(store: TokenStore, kind: Kind, *, fraction: float, seed: int, folder: Path) -> Parted:
    """Take the dataset's own part for validation, or hold out `fraction`: of the tokens of documents, of the
    number of examples. Raises InvalidDataset where the only document is too short to be parted."""
    train, valid = int(store.facts["train"]), int(store.facts["valid"])
    if valid:
        return Parted(np.arange(train), np.arange(train, train + valid), _own(folder, kind))
    sizes = store.lengths[:train] if kind == "documents" else np.ones(train, np.int64)
    keys = store.keys[:train] if kind == "documents" else conversations(store.keys[:train])
    trained, held = split(keys, sizes, fraction=fraction, seed=seed)
    if len(held) or kind != "documents":
        return Parted(trained, held, f"{len(held)} of {train} {kind} held out")
    return _part_document(store, fraction, folder.name)


def _own(folder: Path, kind: Kind) -> str:
    """What the dataset is validated on, by name: `valid/`, `valid.csv`."""
    decisions = read_decisions(folder)
    paths = [*document_files(folder, part="valid")] if kind == "documents" else []
    for file in row_files(folder, part="valid"):
        texts = RecordFile(file, decisions).recognition.shape == "text"
        paths += [file.path] if texts == (kind == "documents") else []
    within = [path.relative_to(folder) for path in paths]
    within = [one for one in within if 0 not in decisions.excluded.get(one.as_posix(), ())]
    names = dict.fromkeys(one.parts[0] + "/" * (len(one.parts) > 1) for one in within)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more


def _part_document(store: TokenStore, fraction: float, name: str) -> Parted:
    """Copies of the same document are passed over."""
    start, end = store.span(0)
    lead = int(store.facts["lead"])
    if end - start - lead < 3:
        raise invalid_dataset(name, [too_short(name)])
    marks = store.read(start + lead, end - 1)[1]
    cut = start + lead + cut_near(marks, round(len(marks) * (1.0 - fraction)))
    said = f"the last {end - cut:,} of {end - start:,} tokens of the only document held out"
    return Parted(np.zeros(1, np.int64), np.zeros(0, np.int64), said, (cut, end))
