"""What a base model makes of a dataset: its rows token by token, and the report with the lengths of all."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from forgellm.data.checking import check
from forgellm.data.documents import Document
from forgellm.data.lengths import Lengths, Measurer, lengths
from forgellm.data.preferences import Preference
from forgellm.data.preview import LOOKED_AT, PreviewRow
from forgellm.data.preview import preview as previewed
from forgellm.data.problems import Problem
from forgellm.data.records import Example, TextRow
from forgellm.data.report import Measure, Measured
from forgellm.domain.errors import InvalidField
from forgellm.domain.extent import sequence_length
from forgellm.domain.spec import parse_spec
from forgellm.jobs.asked import Asked, Dataset
from forgellm.storage.models import ModelFolder, context_length, find_model

_PROBLEMS = 20

Item = Document | Example | Preference


def preview(
    asked: Asked,
    *,
    dataset: str,
    model: str,
    max_seq_length: int | None,
    chunk_overlap: int,
    file: str | None,
    offset: int,
    limit: int,
) -> dict[str, object]:
    """Rows `offset` to `offset + limit` as the model is trained on them; what is left out on the way."""
    found = Dataset(asked, dataset)
    base = find_model(asked.workspace, asked.hub_cache, model)
    length = _length(base, max_seq_length, chunk_overlap)
    problems: list[Problem] = []
    rows = previewed(
        _items(found, file, problems),
        tokenizer=asked.tokenizers.of(base.path),
        max_seq_length=length,
        chunk_overlap=chunk_overlap,
    )
    page = list(islice(rows, offset, offset + limit + 1))
    return {
        "model": base.name,
        "max_seq_length": length,
        "rows": [_plain(row) for row in page[:limit]],
        "more": len(page) > limit,
        "problems": [asdict(problem) for problem in problems[:_PROBLEMS]],
    }


def report(asked: Asked, *, dataset: str, model: str | None, max_seq_length: int | None) -> dict[str, object]:
    """Everything there is to say about a dataset. With a model: in its tokens, cut where it would be."""
    found = Dataset(asked, dataset)
    if model is None:
        if max_seq_length is not None:
            raise InvalidField(
                "max_seq_length is counted in a model's tokens",
                details={"field": "max_seq_length"},
                suggestion="Name a model as well.",
            )
        made = check(found.folder, decisions=found.decisions, progress=asked.tell)
        return {**asdict(made), "model": None, "max_seq_length": None, "trained_on": None}
    base = find_model(asked.workspace, asked.hub_cache, model)
    length = _length(base, max_seq_length)
    counted = Counted(found, Measurer(asked.tokenizers.of(base.path), max_seq_length=length))
    made = check(found.folder, decisions=found.decisions, measure=counted, progress=asked.tell)
    return {
        **asdict(made),
        "model": base.name,
        "max_seq_length": length,
        "trained_on": counted.summary(length),
    }


class Counted:
    """Measures, and remembers the lengths of what is trained on."""

    def __init__(self, found: Dataset, measure: Measure) -> None:
        self._measure = measure
        prefix = found.folder.name
        self._held = tuple(f"{prefix}/{part}/" for part in ("valid", "heldout", "test"))
        self._held_files = {file.name for file in found.row_files if file.part != "train"}
        self._examples = array("q")
        self._documents = array("q")

    def __call__(self, items: Sequence[Example | Document], /) -> Sequence[Measured]:
        measured = self._measure(items)
        for item, one in zip(items, measured, strict=True):
            name = item.file if isinstance(item, Example) else item.name
            if one.problem is None and name not in self._held_files and not name.startswith(self._held):
                kept = self._examples if isinstance(item, Example) else self._documents
                kept.extend((one.tokens, one.learned))
        return measured

    def summary(self, length: int) -> Mapping[str, object]:
        """Of examples and of documents: their lengths, and how many sequences they come to."""
        documents = _lengths(self._documents, length)
        examples = _lengths(self._examples, length)
        return {
            "examples": None if examples is None else asdict(examples),
            "documents": None if documents is None else asdict(documents),
            "example_sequences": len(self._examples) // 2,
            # Short documents share a sequence.
            "document_sequences": 0 if documents is None else math.ceil(documents.tokens / length),
        }


def _lengths(pairs: array[int], length: int) -> Lengths | None:
    if not pairs:
        return None
    return lengths(zip(pairs[::2], pairs[1::2], strict=True), max_seq_length=length)


def _items(found: Dataset, file: str | None, problems: list[Problem]) -> Iterator[Item]:
    """What can be trained on, of one file or of all; what cannot is put into `problems`."""
    known = [one for one in found.row_files if file in (None, one.relative)]
    for one in sorted(known, key=lambda one: one.part != "train"):
        for record in found.records(one).records():
            if isinstance(record, Problem):
                problems.append(record)
            elif isinstance(record, TextRow):
                yield Document(record.file, record.text, line=record.line)
            elif isinstance(record, Example | Preference):
                yield record
    for _, document in found.documents():
        if isinstance(document, Problem):
            problems.append(document)
        elif file in (None, document.name.partition("/")[2]):
            if len(document.text) > LOOKED_AT:
                reason = f"is long: of its first {LOOKED_AT:,} characters alone chunks are shown"
                problems.append(Problem(document.name, None, reason, severity="note"))
            yield document


def _length(base: ModelFolder, wanted: int | None, overlap: int = 0) -> int:
    """Tokens in one sequence of a run. Raises InvalidField as a start would."""
    wish = {"model_name": base.name, "dataset": "any", "training_type": "cpt", "chunk_overlap": overlap}
    spec = parse_spec(wish if wanted is None else {**wish, "max_seq_length": wanted})
    return sequence_length(spec, context_length(base.config))


def _plain(row: PreviewRow) -> dict[str, Any]:
    # A hundred thousand pieces: asdict would copy each of them.
    pieces = [{"text": p.text, "id": p.id, "learned": p.learned} for p in row.pieces]
    return {**{name: getattr(row, name) for name in _ROW}, "pieces": pieces}


_ROW = ("file", "line", "tokens", "learned", "cut", "chunk", "chunks", "problem")
