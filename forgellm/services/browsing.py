"""Looking into the folders of the workspace, never outside it. Nothing is read but names and sizes."""

from __future__ import annotations

import os
import stat
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
            f"{text!r:.200} is hidden: it belongs to ForgeLLM itself",
            details={"path": text},
            suggestion="Look into dataset or models.",
        )
    try:
        entries = sorted(_visible(parts.workspace, folder), key=lambda path: path.name.casefold())
    except OSError as error:
        raise PathNotFound(
            f"there is no folder {text!r:.200} that can be read",
            details={"path": text, "reason": error.strerror},
            suggestion="Give a folder relative to the workspace, such as dataset.",
        ) from error
    sizes = [(path.name, size) for path in entries if (size := _size(path)) is not None]
    return Listing(
        path="." if folder == root else folder.relative_to(root).as_posix(),
        folders=[Folder(path.name, *count(path)) for path in entries if path.is_dir()],
        files=sizes,
    )


def count(folder: Path) -> tuple[int, int]:
    """(number, bytes) of the files below `folder`, without hidden ones and without following links."""
    number = size = 0
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            found = None if name.startswith(".") else _size(os.path.join(path, name), follow=False)
            if found is not None:
                number, size = number + 1, size + found
    return number, size


def _size(path: str | Path, *, follow: bool = True) -> int | None:
    """Bytes of a file; None for what is none, or has gone since its name was read."""
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _visible(workspace: Workspace, folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # A name that is not UTF-8 cannot be asked for either.
            if not entry.name.startswith(".") and entry.name.isprintable() and _is_inside(workspace, entry):
                yield folder / entry.name


def _is_inside(workspace: Workspace, entry: os.DirEntry[str]) -> bool:
    """Whether it can be had; only a link could lead elsewhere, and resolving takes its time."""
    if not entry.is_symlink():
        return True
    with suppress(InvalidPath):
        return workspace.resolve(entry.path).exists()
    return False


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
