"""What can be asked about a dataset. Each answer is plain values for JSON, of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from forgellm.data.documents import Document
from forgellm.data.example_files import RowFile
from forgellm.data.files import misplaced
from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, RecordFile, TextRow
from forgellm.data.rows import Row
from forgellm.data.sources import check_dataset
from forgellm.domain.chat import Message
from forgellm.domain.spec import parse_spec
from forgellm.jobs.asked import Asked, Dataset, not_there, side_by_side
from forgellm.jobs.showing import shown_row, shown_text
from forgellm.storage.datasets import find_dataset

_FIRST_ROWS = 5
_MOST_COLUMNS = 1_000
_MOST_FILES = 1_000


def table(asked: Asked, *, dataset: str, file: str, whole: bool) -> dict[str, object]:
    """The columns of a file, in how many rows each is empty (None unless `whole`), and the first rows.

    A file of documents has no columns.
    """
    found = Dataset(asked, dataset)
    if file not in (one.relative for one in found.row_files):
        return {"columns": [], "null_counts": {}, "first_rows": []}
    first: list[dict[str, object]] = []
    filled: dict[str, int] = {}
    count = 0
    for row in found.records(found.row_file(file)).rows():
        if isinstance(row, Problem):
            continue
        if len(first) < _FIRST_ROWS:
            first.append(shown_row(row.values))
        elif not whole:
            break
        count += 1
        for column, value in row.values.items():
            if len(filled) < _MOST_COLUMNS or column in filled:
                filled[column] = filled.get(column, 0) + (value not in (None, ""))
    empty = {column: count - number if whole else None for column, number in filled.items()}
    return {"columns": list(filled), "null_counts": empty, "first_rows": first}


def startable(asked: Asked, *, dataset: str, spec: Mapping[str, object]) -> dict[str, object]:
    """What keeps a run with that spec from being trained on the dataset."""
    problems = check_dataset(find_dataset(asked.workspace, dataset), spec=parse_spec(spec))
    return {"problems": [asdict(problem) for problem in problems]}


def describe(asked: Asked, *, dataset: str) -> dict[str, object]:
    """The files of rows with the shape of each and why, the documents, and what was decided."""
    found = Dataset(asked, dataset)
    documents = found.document_names
    return {
        "files": [_described(found, file) for file in found.row_files[:_MOST_FILES]],
        "documents": [
            {"file": name, "size_bytes": _size(path, found.folder)}
            for name, path in islice(documents.items(), _MOST_FILES)
        ],
        "document_count": len(documents),
        "decisions": asdict(found.decisions),
    }


def rows(
    asked: Asked, *, dataset: str, file: str | None, offset: int, limit: int, problems: bool
) -> dict[str, object]:
    """Rows `offset` to `offset + limit` of a file, or documents; with `problems` only what has one.

    Without a file: the first file of rows, or all documents where there is none.
    """
    found = Dataset(asked, dataset)
    known = [one.relative for one in sorted(found.row_files, key=lambda one: one.part != "train")]
    chosen = known[0] if file is None and known else file
    if file is not None and file not in (*known, *found.document_names):
        raise not_there(found, file)
    if chosen in known:
        shown = _shown_rows(found.records(found.row_file(str(chosen))))
    else:
        shown = _shown_documents(found, chosen)
    wanted = (row for row in shown if not problems or row["problem"] is not None)
    page = list(islice(wanted, offset, offset + limit + 1))
    return {"file": chosen, "rows": page[:limit], "more": len(page) > limit}


def _described(found: Dataset, file: RowFile) -> dict[str, object]:
    records = found.records(file)
    recognition = records.recognition
    return {
        "file": file.relative,
        "part": file.part,
        "size_bytes": _size(file.path, file.dataset),
        **asdict(recognition),
        "layout": records.layout,
        "excluded": len(records.excluded),
        "whole_file_excluded": 0 in records.excluded,
    }


def _size(path: Path, dataset: Path) -> int:
    """0 for what must not be opened, or has gone; its rows say which."""
    try:
        return 0 if misplaced(path, dataset) else path.stat().st_size
    except OSError:
        return 0


def _shown_rows(records: RecordFile) -> Iterator[dict[str, Any]]:
    """Each row as it is in the file, and what it comes to; they are read side by side."""
    for row, record in side_by_side(records):
        values = shown_row(row.values) if isinstance(row, Row) else None
        yield {"line": row.line, "values": values, **_outcome(record)}


def _outcome(found: object) -> dict[str, Any]:
    """`messages`, `text`, or a preference's parts, cut short; and what is wrong."""
    nothing = {
        "messages": None,
        "preference": None,
        "text": None,
        "problem": None,
        "note": None,
        "excluded": False,
    }
    if isinstance(found, Problem) and found.severity == "note":
        return {**nothing, "note": found.reason}
    if isinstance(found, Problem):
        return {**nothing, "problem": {"reason": found.reason, "suggestion": found.suggestion}}
    if isinstance(found, Example):
        return {**nothing, "messages": _messages(found.messages)}
    if isinstance(found, (TextRow, Document)):
        return {**nothing, "text": shown_text(found.text)}
    if isinstance(found, Preference):
        parts = {"prompt": found.prompt, "chosen": found.chosen, "rejected": found.rejected}
        return {**nothing, "preference": {part: _messages(said) for part, said in parts.items()}}
    return {**nothing, "excluded": True}


def _messages(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": shown_text(message.content)} for message in messages]


def _shown_documents(found: Dataset, name: str | None) -> Iterator[dict[str, Any]]:
    prefix = found.folder.name + "/"
    for _, one in found.documents():
        if isinstance(one, Problem):
            shown = {**_outcome(one), "values": {"file": one.file.removeprefix(prefix)}}
        else:
            file = one.name.removeprefix(prefix)
            values = {"file": file, "characters": len(one.text), "encoding": one.encoding, "kind": one.kind}
            shown = {**_outcome(one), "values": values}
        if name in (None, shown["values"]["file"]):
            yield {"line": one.line, **shown}
