"""A dataset as items to train on and items to measure on, before anything is tokenised.

Cheap enough to run while somebody waits for an answer: no tokenizer, no arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgellm.data.documents import Document, has_documents, read_documents
from forgellm.data.example_files import Part, row_files
from forgellm.data.problems import Problem
from forgellm.data.records import Example, read_examples
from forgellm.data.rows import SUFFIXES as ROW_SUFFIXES
from forgellm.data.split import cut_in_two, hold_out
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.decisions import read_decisions

Item = Document | Example


@dataclass(frozen=True)
class Source:
    """What one dataset gives. `split` says in words how the validation part came about."""

    name: str
    train: Sequence[Item]
    valid: Sequence[Item]
    split: str
    problems: Sequence[Problem]


def check_dataset(folder: Path, *, spec: TrainingSpec) -> list[Problem]:
    """Everything wrong with the rows or documents of a dataset that `spec` names.

    The domain dataset must also be of the kind that the training type reads and have enough examples.
    """
    general = folder.name != Path(spec.dataset).name
    source = read_source(folder, spec=spec, general=general)
    if source.problems or general or spec.training_type == "cpt":
        return list(source.problems)
    return _too_few(source, batch_size=spec.batch_size)


def read_source(folder: Path, *, spec: TrainingSpec, general: bool = False) -> Source:
    """Read and split a dataset: documents for CPT, examples for IFT; general data may be either."""
    documents = spec.training_type == "cpt"
    if general and not _has(folder, documents=documents):
        documents = not documents
    train, problems = _read(folder, documents=documents)
    valid, more = _own_validation(folder, documents=documents)
    problems += more
    if problems or not train:
        return Source(folder.name, [], [], "", problems or [_nothing(folder, documents=documents)])
    if valid:
        return Source(folder.name, train, valid, "valid/" if documents else "valid.jsonl", [])
    return _split(folder.name, train, spec=spec)


def _too_few(source: Source, *, batch_size: int) -> list[Problem]:
    if not source.valid:
        reason = "has one distinct example, and validation needs another"
        return [Problem(source.name, None, reason, "Add examples.")]
    if len(source.train) < batch_size:
        reason = f"has {len(source.train)} examples to train on, fewer than one batch of {batch_size}"
        return [Problem(source.name, None, reason, "Lower batch_size, or add examples.")]
    return []


def _has(folder: Path, *, documents: bool) -> bool:
    if documents:
        return has_documents(folder, decisions=read_decisions(folder))
    return any(row_files(folder, part="train"))


def _read(folder: Path, *, documents: bool) -> tuple[Sequence[Item], list[Problem]]:
    return _read_documents(folder, part="train") if documents else _read_examples(folder, part="train")


def _read_documents(folder: Path, *, part: Part) -> tuple[list[Document], list[Problem]]:
    found = list(read_documents(folder, decisions=read_decisions(folder), part=part))
    documents = [item for item in found if isinstance(item, Document)]
    return documents, [item for item in found if isinstance(item, Problem) and item.severity == "error"]


def _read_examples(folder: Path, *, part: Part) -> tuple[list[Example], list[Problem]]:
    found = list(read_examples(row_files(folder, part=part), decisions=read_decisions(folder)))
    examples = [item for item in found if isinstance(item, Example)]
    return examples, [item for item in found if isinstance(item, Problem) and item.severity == "error"]


def _own_validation(folder: Path, *, documents: bool) -> tuple[Sequence[Item], list[Problem]]:
    if documents:
        return _read_documents(folder, part="valid")
    return _read_examples(folder, part="valid")


def _nothing(folder: Path, *, documents: bool) -> Problem:
    if documents:
        wanted = "has no document (text, Markdown, HTML, PDF, DOCX, EPUB, source code) with text in it"
        return Problem(folder.name, None, wanted, "Put .txt or .md files into it, or use training_type ift.")
    wanted = f"has no example in a file of rows ({', '.join(ROW_SUFFIXES)})"
    return Problem(folder.name, None, wanted, "Put a train.jsonl into it, or use training_type cpt.")


def _split(name: str, items: Sequence[Item], *, spec: TrainingSpec) -> Source:
    train, held = hold_out(
        [_key(item) for item in items],
        [_size(item) for item in items],
        fraction=spec.validation_fraction,
        seed=spec.seed,
    )
    if not held and isinstance(items[0], Document):
        return _split_document(name, items[0], fraction=spec.validation_fraction)
    kind = "documents" if isinstance(items[0], Document) else "examples"
    said = f"{len(held)} of {len(items)} {kind} held out"
    return Source(name, [items[i] for i in train], [items[i] for i in held], said, [])


def _split_document(name: str, document: Document, *, fraction: float) -> Source:
    beginning, end = cut_in_two(document.text, fraction)
    if not beginning.strip() or not end.strip():
        reason = "is too short to hold out a part of it"
        return Source(name, [], [], "", [Problem(document.name, None, reason, "Add text.")])
    train, valid = Document(document.name, beginning), Document(document.name, end)
    said = f"the last {len(end)} of {len(document.text)} characters of the only document held out"
    return Source(name, [train], [valid], said, [])


def _key(item: Item) -> Hashable:
    return item.text.strip() if isinstance(item, Document) else item.messages


def _size(item: Item) -> int:
    """Documents differ a thousandfold in length, so their share is measured in characters; examples count."""
    return len(item.text) if isinstance(item, Document) else 1
