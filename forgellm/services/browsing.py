"""Looking into the folders of the workspace, never outside it. Nothing is read but names and sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import InvalidPath, PathNotFound
from forgellm.services.parts import Parts
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Folder:
    """One entry that is a folder, with what lies below it: files and their bytes."""

    name: str
    file_count: int
    size_bytes: int


@dataclass(frozen=True)
class Listing:
    """A folder of the workspace; `path` is relative to it, `.` for the workspace itself."""

    path: str
    folders: list[Folder]
    files: list[tuple[str, int]]


def browse(parts: Parts, text: str) -> Listing:
    """What lies in the folder `text`. Hidden names, and links that leave the workspace, are left out.

    Raises InvalidPath, PathNotFound.
    """
    root = parts.workspace.root
    folder = root if text in (".", "./") else parts.workspace.resolve(text)
    if _is_hidden(folder.relative_to(root)):
        raise InvalidPath(
            f"{text!a:.200} is hidden: it belongs to ForgeLLM itself",
            details={"path": text},
            suggestion="Look into dataset or models.",
        )
    if not folder.is_dir():
        raise PathNotFound(
            f"there is no folder {text!a:.200}",
            details={"path": text},
            suggestion="Give a folder relative to the workspace, such as dataset.",
        )
    entries = sorted(_visible(parts.workspace, folder), key=lambda path: path.name.casefold())
    return Listing(
        path="." if folder == root else folder.relative_to(root).as_posix(),
        folders=[Folder(p.name, *count(p)) for p in entries if p.is_dir()],
        files=[(p.name, p.stat().st_size) for p in entries if p.is_file()],
    )


def count(folder: Path) -> tuple[int, int]:
    """(number, bytes) of the files below `folder`, without hidden ones and without following links."""
    number = size = 0
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(path, name)
            if not name.startswith(".") and file.is_file() and not file.is_symlink():
                number, size = number + 1, size + file.stat().st_size
    return number, size


def _visible(workspace: Workspace, folder: Path) -> Iterator[Path]:
    for name in os.listdir(folder):
        # A name that is not UTF-8 cannot be asked for either.
        if name.startswith(".") or not name.isprintable():
            continue
        with suppress(InvalidPath):
            if workspace.resolve(str(folder / name)).exists():
                yield folder / name


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
