"""The documents of a dataset: text files, source code, pages, PDF, Word files, e-books, rows with a text.

Each file is a document, in the order of their names, a README.md too; of a file of rows each row is one. Left
out are hidden files and folders, what is held out, what was excluded, and files without any text. What was
decided about a file without being asked (its encoding, that it is left out) is told as a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgellm.data.example_files import Part, row_files
from forgellm.data.files import dataset_files, misplaced
from forgellm.data.problems import Problem
from forgellm.data.readers.bounded import KINDS, BoundedReader, Refusal, Text
from forgellm.data.records import RecordFile, read_texts
from forgellm.data.rows import SUFFIXES as ROW_SUFFIXES
from forgellm.data.text import SAVE_AS_UTF8, Undecodable, decode_document, unusable
from forgellm.storage.decisions import Decisions

Kind = Literal["markdown", "text", "code"]

LARGEST_TEXT = 1 << 30
"""Bytes of one text file, which is in memory as a whole."""

_MARKDOWN = (".md", ".markdown")
_PLAIN = (".txt", ".text", ".rst", ".adoc", ".org", ".tex")
_CODE = tuple(
    ".asm .bash .c .cc .clj .cljs .cpp .cs .css .cu .cxx .dart .el .erl .ex .exs .f .f90 .fs .go .gradle "
    ".groovy .h .hh .hpp .hs .hxx .ipp .java .jl .js .jsx .kt .kts .less .lisp .lua .m .metal .mjs .ml .mli "
    ".mm .nim .pas .php .pl .pm .proto .ps1 .py .pyi .r .rb .rkt .rs .s .scala .scm .scss .sh .sol .sql "
    ".svelte .swift .tcl .ts .tsx .v .vb .vhd .vue .zig .zsh".split()
)
WRITTEN = (*_PLAIN, *_MARKDOWN, *KINDS)
SUFFIXES = (*WRITTEN, *_CODE)


@dataclass(frozen=True)
class Document:
    """One text and its name: `DATASET/PATH` with forward slashes.

    `kind` says what its structure is written in; `encoding` is what the file was decoded from; `line` is
    that of the row it came from, None for a file that is one document.
    """

    name: str
    text: str
    kind: Kind = "text"
    encoding: str = "UTF-8"
    line: int | None = None


def read_documents(
    dataset: Path, *, decisions: Decisions, part: Part = "train"
) -> Iterator[Document | Problem]:
    """Every document, problem and note of one part of a dataset. One document is in memory at a time.

    Raises OSError where a folder cannot be listed.
    """
    yield from read_document_files(dataset, decisions=decisions, part=part)
    for row in read_texts(row_files(dataset, part=part), decisions=decisions):
        yield row if isinstance(row, Problem) else Document(row.file, row.text, line=row.line)


def read_document_files(
    dataset: Path, *, decisions: Decisions, part: Part = "train"
) -> Iterator[Document | Problem]:
    """As `read_documents`, without what lies in files of rows."""
    with BoundedReader() as reader:
        for path in document_files(dataset, part=part):
            relative = path.relative_to(dataset).as_posix()
            if 0 not in decisions.excluded.get(relative, ()):
                yield from _read(path, f"{dataset.name}/{relative}", dataset=dataset, reader=reader)
    yield from _unread(dataset, part=part)


def document_files(dataset: Path, *, part: Part = "train") -> Iterator[Path]:
    """The files of a part that are documents, in the order in which they are read."""
    return (path for path in _files(dataset, part=part) if _suffix(path) in SUFFIXES)


def has_documents(dataset: Path, *, decisions: Decisions) -> bool:
    """Whether a dataset has files that are documents, or rows that are texts, to train on."""
    rows = (RecordFile(file, decisions) for file in row_files(dataset, part="train"))
    return any(document_files(dataset)) or any(file.recognition.shape == "text" for file in rows)


def _files(dataset: Path, *, part: Part) -> Iterator[Path]:
    if part == "train":
        return dataset_files(dataset)
    return iter(()) if misplaced(dataset / part, dataset) else dataset_files(dataset / part)


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _read(path: Path, name: str, *, dataset: Path, reader: BoundedReader) -> Iterator[Document | Problem]:
    reason = misplaced(path, dataset)
    if reason is not None:
        yield Problem(name, None, reason, "Copy the file itself into the dataset.")
        return
    try:
        found = reader.read(path) if _suffix(path) in KINDS else _read_text(path)
    except OSError as error:
        yield Problem(name, None, f"cannot be read: {error.strerror}")
        return
    if isinstance(found, Refusal):
        yield Problem(name, found.line, found.reason, found.suggestion)
    elif not found.text or found.text.isspace():
        yield Problem(name, None, "is left out, because it has no text", severity="note")
    else:
        yield from _checked(found, path, name)


def _read_text(path: Path) -> Text | Refusal:
    if path.stat().st_size > LARGEST_TEXT:
        return Refusal(f"is larger than {LARGEST_TEXT >> 20} MiB", "Split it into several files.")
    try:
        return Text(*decode_document(path.read_bytes()))
    except Undecodable as error:
        return Refusal(error.reason, SAVE_AS_UTF8, error.line)


def _checked(found: Text, path: Path, name: str) -> Iterator[Document | Problem]:
    """The document of a text that is not empty, and what was decided about it."""
    reason = unusable(found.text)
    if reason is not None:
        line = found.text.count("\n", 0, found.text.find("\0")) + 1
        yield Problem(name, line, reason, "Remove it, or the file.")
        return
    if found.encoding != "UTF-8":
        yield Problem(name, None, f"is read as {found.encoding}", SAVE_AS_UTF8, severity="note")
    yield Document(name, found.text, _kind(path), found.encoding)


def _kind(path: Path) -> Kind:
    suffix = _suffix(path)
    if suffix in _CODE:
        return "code"
    return "text" if suffix in _PLAIN else "markdown"


def _unread(dataset: Path, *, part: Part) -> Iterator[Problem]:
    """A note for each kind of file that nobody reads."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for path in _files(dataset, part=part):
        suffix = _suffix(path)
        if suffix not in SUFFIXES and suffix not in ROW_SUFFIXES:
            counts[suffix] += 1
            first.setdefault(suffix, path.relative_to(dataset.parent).as_posix())
    for suffix, count in counts.items():
        more = f", like {count - 1} more of its kind" if count > 1 else ""
        reason = f"is not read, because {suffix or 'a name without an ending'} is none of the formats{more}"
        yield Problem(first[suffix], None, reason, "Convert it, for instance to .md.", severity="note")
