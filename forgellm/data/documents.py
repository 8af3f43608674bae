"""Text files to documents: `.txt` and `.md`, whole, in the order of their names.

Every such file is a document, a README.md too. Left out are hidden files and folders, files without any
text, and the folders `valid`, `heldout` and `test` at the top of a dataset, which are not trained on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forgellm.data.problems import Problem
from forgellm.data.text import SAVE_AS_UTF8, decode, other_encoding, unusable

SUFFIXES = (".txt", ".md")
NOT_TRAINED_ON = ("valid", "heldout", "test")


@dataclass(frozen=True)
class Document:
    """One text and its name: `DATASET/PATH` with forward slashes."""

    name: str
    text: str


def read_documents(folder: Path, *, dataset: Path | None = None) -> tuple[list[Document], list[Problem]]:
    """Every document and every problem below `folder`, which is `dataset` (the default) or lies inside it."""
    documents: list[Document] = []
    problems: list[Problem] = []
    base = (dataset or folder).parent
    for path in document_files(folder):
        name = path.relative_to(base).as_posix()
        reason = misplaced(path, dataset or folder)
        if reason is not None:
            problems.append(Problem(name, None, reason, "Copy the file itself into the dataset."))
            continue
        found = _read(path, name)
        if isinstance(found, Document):
            documents.append(found)
        elif found is not None:
            problems.append(found)
    return documents, problems


def document_files(folder: Path) -> Iterator[Path]:
    """The files that `read_documents` reads, in its order."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        excluded = NOT_TRAINED_ON if Path(place) == folder else ()
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in excluded)
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def misplaced(path: Path, dataset: Path) -> str | None:
    """Why a file must not be opened: a link out of its dataset, or a pipe, which would block for ever."""
    if dataset.resolve() not in path.resolve().parents:
        return "is a link to a place outside the dataset"
    odd = path.exists() and not path.is_file() and not path.is_dir()
    return "is a pipe or a device, not a file" if odd else None


def _raise(error: OSError) -> None:
    # A folder that cannot be listed is not an empty one; one that is not there is.
    if not isinstance(error, FileNotFoundError):
        raise error


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
