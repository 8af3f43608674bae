"""A dataset as a stream of items, and whether they can be trained on, before anything is tokenised.

Cheap enough to run while somebody waits for an answer: no tokenizer, and one item in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from forgellm.data.documents import SUFFIXES, Document, read_documents
from forgellm.data.example_files import Part, row_files
from forgellm.data.likeness import document_key, example_keys, preference_keys
from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, read_examples, read_preferences, sides
from forgellm.data.split import Indices, conversations, split
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.decisions import Decisions, read_decisions

Kind = Literal["documents", "examples", "preferences"]
Item = Document | Example | Preference

MOST_PROBLEMS = 1_000
"""After so many nothing more is read: the dataset has another fault than single rows."""

_MOST_KEYS = 20_000
"""Of more examples there are always enough for a batch."""


def kind_of(folder: Path, *, spec: TrainingSpec, general: bool = False) -> Kind:
    """What is read of a dataset: documents for CPT, examples for IFT, preferences for DPO.

    General data may be either of the first two.
    """
    if spec.objective == "dpo" and not general:
        return "preferences"
    wanted: Kind = "documents" if spec.training_type == "cpt" else "examples"
    other: Kind = "examples" if wanted == "documents" else "documents"
    return other if general and not _has(folder, wanted) and _has(folder, other) else wanted


def items(folder: Path, kind: Kind, part: Part) -> Iterator[Item | Problem]:
    """Every item, problem and note of one part of a dataset, in order. Raises InvalidDataset."""
    decisions: Decisions = read_decisions(folder)
    if kind == "documents":
        yield from read_documents(folder, decisions=decisions, part=part)
    elif kind == "preferences":
        yield from read_preferences(row_files(folder, part=part), decisions=decisions)
    else:
        yield from read_examples(row_files(folder, part=part), decisions=decisions)


def check_dataset(folder: Path, *, spec: TrainingSpec) -> list[Problem]:
    """Everything wrong with the rows or documents of a dataset that `spec` names, notes left out.

    The domain dataset must also be of the kind that the training type reads and have enough examples.
    """
    general = folder.name != Path(spec.dataset).name
    kind = kind_of(folder, spec=spec, general=general)
    seen = _Seen()
    for part in ("train", "valid"):
        for item in items(folder, kind, part):
            seen.take(item, part)
            if len(seen.problems) >= MOST_PROBLEMS:
                return [*seen.problems, too_many(folder.name)]
    if seen.problems or not seen.keys["train"]:
        return seen.problems or [nothing(folder.name, kind)]
    if kind == "documents":
        return seen.too_short(folder.name)
    return [] if general else seen.too_few(folder.name, spec)


def _has(folder: Path, kind: Kind) -> bool:
    """Whether there is anything of a kind, if only a problem."""
    found = items(folder, kind, "train")
    return any(not (isinstance(item, Problem) and item.severity == "note") for item in found)


def nothing(name: str, kind: Kind) -> Problem:
    """That a dataset has no item of a kind."""
    if kind == "documents":
        wanted = f"has no document ({', '.join(SUFFIXES[:6])} …) with text in it"
        return Problem(name, None, wanted, "Put .txt or .md files into it, or use training_type ift.")
    if kind == "preferences":
        wanted = "has no row with a chosen and a rejected answer"
        return Problem(name, None, wanted, "Use preferences, or objective likelihood.")
    wanted = "has no example in a .jsonl, .json, .csv, .tsv or .parquet file"
    return Problem(name, None, wanted, "Put a train.jsonl into it, or use training_type cpt.")


def too_many(name: str) -> Problem:
    """That reading was given up."""
    reason = f"has more than {MOST_PROBLEMS:,} problems; what follows was not looked at"
    return Problem(name, None, reason, "Correct the first ones: the others are often of the same kind.")


def too_short(name: str) -> Problem:
    """That the only document cannot be parted."""
    return Problem(name, None, "is too short to hold out a part of it", "Add text.")


@dataclass
class _Seen:
    """What was read so far; no more than a key of each item is kept, and of no more than `_MOST_KEYS`."""

    keys: dict[str, list[tuple[int, int, int]]] = field(default_factory=lambda: {"train": [], "valid": []})
    problems: list[Problem] = field(default_factory=list)
    letters: int = 0

    def take(self, item: Item | Problem, part: str) -> None:
        if isinstance(item, Problem):
            self.problems += [item] if item.severity == "error" else []
        elif len(self.keys[part]) < _MOST_KEYS:
            if isinstance(item, Document):
                self.keys[part].append((document_key(item), 0, 0))
                self.letters = len(item.text.strip())
            elif isinstance(item, Preference):
                self.keys[part].append(preference_keys(*sides(item)))
            else:
                self.keys[part].append(example_keys(item))

    def too_short(self, name: str) -> list[Problem]:
        alone = not self.keys["valid"] and len(set(self.keys["train"])) == 1
        return [too_short(name)] if alone and self.letters < 2 else []

    def too_few(self, name: str, spec: TrainingSpec) -> list[Problem]:
        train = len(self.keys["train"])
        if not self.keys["valid"]:
            if len({exact for exact, *_ in self.keys["train"]}) < 2:
                reason = "has one distinct example, and validation needs another"
                return [Problem(name, None, reason, "Add examples.")]
            train = len(self._trained_on(spec))
        if train >= min(spec.batch_size, _MOST_KEYS):
            return []
        reason = f"has {train} examples to train on, fewer than one batch of {spec.batch_size}"
        return [Problem(name, None, reason, "Lower batch_size, or add examples.")]

    def _trained_on(self, spec: TrainingSpec) -> Indices:
        keys = conversations(np.array(self.keys["train"], np.uint64))
        sizes = np.ones(len(keys), np.int64)
        return split(keys, sizes, fraction=spec.validation_fraction, seed=spec.seed)[0]
