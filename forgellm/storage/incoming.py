"""Datasets that are being written: in a hidden folder, which becomes a dataset whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO

from forgellm.domain.errors import DatasetConflict
from forgellm.storage.files import HeldLock, exclusive, is_held, move_folder, own_file, storage_errors
from forgellm.storage.workspace import Workspace

_PREFIX = ".incoming-"

_NO_LINKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EMLINK, errno.EXDEV}
"""What file systems without hard links say: exFAT, many network shares."""


@dataclass(frozen=True)
class Incoming:
    """What is to become a dataset lies in `folder`, which nobody lists."""

    workspace: Workspace
    folder: Path

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """A new file, perhaps in folders of the dataset.

        Raises DatasetConflict where there is one of that name, DiskFull, ReadOnly.
        """
        path = self.folder / name
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = own_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            except FileExistsError as error:
                raise _taken(name, "there are two files of that name", "Give each file a name.") from error
            with open(descriptor, "wb") as file:
                yield file

    def place(self, name: str) -> Path:
        """Make it the dataset `name`; where that is. Raises DatasetConflict, DiskFull, ReadOnly."""
        target = self.workspace.datasets / name
        with _alone(self.workspace), storage_errors(target):
            # A broken link is in the way as well.
            if os.path.lexists(target):
                raise _taken(name, "there is one of that name", "Choose another name, or remove it first.")
            move_folder(self.folder, target)
        return target

    def add_to(self, target: Path) -> None:
        """Move every file into the dataset at `target`, all or none of them. Raises DatasetConflict …"""
        with _alone(self.workspace), storage_errors(target):
            # What macOS keeps beside a file goes where that file goes, by itself.
            named = (path for path in self.folder.rglob("*") if not path.name.startswith("._"))
            paths = sorted(path for path in named if not path.is_dir())
            for path in paths:
                name = path.relative_to(self.folder)
                if os.path.lexists(target / name) or not _is_free(target, name.parent):
                    said = f"{target.name} has a file of that name"
                    raise _taken(name.as_posix(), said, "Rename or leave out that file.")
            for path in paths:
                _move(path, target / path.relative_to(self.folder))


@contextmanager
def incoming(workspace: Workspace) -> Iterator[Incoming]:
    """A place to write a dataset to. What is not `place`d when the block ends is deleted; what a process that
    was killed has left is deleted by the next one. Raises DiskFull, ReadOnly.
    """
    with _alone(workspace), storage_errors(workspace.datasets):
        workspace.datasets.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(workspace)
        outer = Path(mkdtemp(prefix=_PREFIX, dir=workspace.datasets))
        lock = HeldLock.acquire(outer / "lock")
        folder = outer / "files"
        folder.mkdir()
    try:
        yield Incoming(workspace, folder)
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        if lock is not None:
            lock.release()


def _is_free(target: Path, folder: Path) -> bool:
    """Whether files can be put into a folder of a dataset, by way of nothing that leads out of it."""
    ways = [target / one for one in (folder, *folder.parents) if one != Path(".")]
    return not any(way.is_symlink() or (way.exists() and not way.is_dir()) for way in ways)


def _move(source: Path, target: Path) -> None:
    """Sync and move, never over anything that is there."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    # A rename would replace what has come meanwhile.
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # There the name is taken first.
        os.close(own_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            shutil.move(source, target)
        except OSError:
            target.unlink()
            raise
    else:
        source.unlink()


def _remove_abandoned(workspace: Workspace) -> None:
    for path in workspace.datasets.glob(f"{_PREFIX}*"):
        if not path.is_symlink() and not is_held(path / "lock"):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    with exclusive(workspace.private / "datasets.lock"):
        yield


def _taken(name: str, reason: str, suggestion: str) -> DatasetConflict:
    return DatasetConflict(
        f"{name!r:.120} cannot be created: {reason}", details={"name": name[:120]}, suggestion=suggestion
    )
