"""Text files to documents: `.txt` and `.md`, whole, in the order of their names.

Every such file is a document, a README.md too. Left out are hidden files and folders, files without any
text, and the folders `valid`, `heldout` and `test` at the top of a dataset, which are not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgellm.data.files import dataset_files, misplaced
from forgellm.data.problems import Problem
from forgellm.data.text import SAVE_AS_UTF8, decode, other_encoding, unusable

SUFFIXES = (".txt", ".md")

Kind = Literal["markdown", "text", "code"]


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


def read_documents(folder: Path, *, dataset: Path | None = None) -> Iterator[Document | Problem]:
    """Every document and every problem below `folder`, which is `dataset` (the default) or lies inside it.

    One document is in memory at a time.
    """
    base = (dataset or folder).parent
    for path in document_files(folder):
        name = path.relative_to(base).as_posix()
        reason = misplaced(path, dataset or folder)
        if reason is not None:
            yield Problem(name, None, reason, "Copy the file itself into the dataset.")
            continue
        found = _read(path, name)
        if found is not None:
            yield found


def document_files(folder: Path) -> Iterator[Path]:
    """The files that `read_documents` reads, in its order."""
    return (path for path in dataset_files(folder) if path.name.lower().endswith(SUFFIXES))


def _read(path: Path, name: str) -> Document | Problem | None:
    """The document, what is wrong with it, or None for a file without any text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Problem(name, None, f"cannot be read: {error.strerror}")
    encoding = other_encoding(data)
    if encoding is not None:
        return Problem(name, None, f"is {encoding}, not UTF-8", SAVE_AS_UTF8)
    try:
        text = decode(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem(name, line, f"is not UTF-8: byte 0x{data[error.start]:02x}", SAVE_AS_UTF8)
    if not text.strip():
        return None
    reason = unusable(text)
    if reason is not None:
        return Problem(name, text.count("\n", 0, text.find("\0")) + 1, reason, "Remove it, or the file.")
    return Document(name, text)
