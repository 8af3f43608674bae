"""Which items of a dataset's tokens are trained on and which are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgellm.data.chunks import cut_near
from forgellm.data.problems import invalid_dataset
from forgellm.data.sources import Kind, too_short
from forgellm.data.split import Indices, split
from forgellm.data.token_store import Span, TokenStore

OWN = {"documents": "valid/", "examples": "valid.jsonl", "preferences": "valid.jsonl"}


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


def part(store: TokenStore, kind: Kind, *, fraction: float, seed: int, name: str) -> Parted:
    """Take the dataset's own part for validation, or hold out `fraction`: of the tokens of documents, of the
    number of examples. Raises InvalidDataset where the only document is too short to be parted."""
    train, valid = int(store.facts["train"]), int(store.facts["valid"])
    if valid:
        return Parted(np.arange(train), np.arange(train, train + valid), OWN[kind])
    sizes = store.lengths[:train] if kind == "documents" else np.ones(train, np.int64)
    trained, held = split(store.keys[:train], sizes, fraction=fraction, seed=seed)
    if len(held) or kind != "documents":
        return Parted(trained, held, f"{len(held)} of {train} {kind} held out")
    return _part_document(store, fraction, name)


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
