"""Writing a new dataset out of one there is. Rows that cannot be used are left out, counted, and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, Record, TextRow
from forgellm.data.text import Undecodable, decode_document
from forgellm.data.transcripts import extract_conversations
from forgellm.domain.chat import Message
from forgellm.jobs.asked import Asked, Dataset
from forgellm.jobs.writing import Writing, writing

_LISTED = 100
_TEXTS = (".txt", ".text", ".md", ".markdown", ".rst", ".jsonl", ".json", ".csv", ".tsv", ".html", ".htm")


def convert(
    asked: Asked,
    *,
    dataset: str,
    name: str,
    to: str,
    patterns: Mapping[str, Sequence[str]] | None,
    encoding: str | None,
    time: str,
) -> dict[str, object]:
    """Rows to messages, transcripts to messages, or texts to UTF-8, as the dataset `name`."""
    found = Dataset(asked, dataset)
    source = {"kind": "convert", "from": dataset, "to": to, "time": time}
    with writing(asked, name, source=source) as made:
        if to == "messages":
            _messages(found, made)
        elif to == "transcripts":
            _transcripts(found, made, patterns)
        else:
            _to_utf8(found, made, encoding)
        return made.answer(dataset)


def _messages(found: Dataset, made: Writing) -> None:
    made.tell(len(found.document_names), "documents are no rows, and are not in the new dataset", found)
    for file in found.row_files:
        for record in found.records(file).records():
            if isinstance(record, Problem):
                made.leave_out(record)
                continue
            values = _as_row(record)
            if values is not None:
                made.row(made.file_for(file.relative, file.part), values)


def _as_row(record: Record) -> dict[str, object] | None:
    if isinstance(record, Example):
        return {"messages": _said(record.messages)}
    if isinstance(record, TextRow):
        return {"text": record.text}
    if isinstance(record, Preference):
        return {"messages": _said((*record.prompt, *record.chosen))}
    return None


def _transcripts(found: Dataset, made: Writing, patterns: Mapping[str, Sequence[str]] | None) -> None:
    made.tell(len(found.row_files), "files of rows are no transcripts, and are not in the new dataset", found)
    for part, document in found.documents():
        if isinstance(document, Problem):
            made.leave_out(document)
            continue
        conversations = list(extract_conversations(document.text, patterns))
        if not conversations:
            reason = "has no turns of a user and an assistant"
            made.leave_out(Problem(document.name, None, reason, "Say by patterns how their turns begin."))
        for messages in conversations:
            made.row(f"{part}.jsonl", {"messages": _said(messages)})


def _to_utf8(found: Dataset, made: Writing, encoding: str | None) -> None:
    for path in sorted(found.folder.rglob("*")):
        relative = path.relative_to(found.folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or not path.is_file() or path.is_symlink():
            continue
        made.decide_as(found, relative.as_posix(), relative.as_posix())
        made.exclude_as(found, relative.as_posix())
        if path.suffix.lower() not in _TEXTS:
            made.copy(path, relative.as_posix())
            continue
        try:
            made.text(relative.as_posix(), decode_document(path.read_bytes(), otherwise=encoding)[0])
        except Undecodable as error:
            name = f"{found.folder.name}/{relative.as_posix()}"
            made.leave_out(Problem(name, error.line, error.reason, "Say which encoding it is in."))


def _said(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
