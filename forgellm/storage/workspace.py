"""The workspace: where things lie, and the one way from a text to a path inside it.

Folders are created by those who write into them. What lies in the folders is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import InvalidPath

MAX_PATH_LENGTH = 1024
"""Characters; far above every real path here and below every system's limit."""


@dataclass(frozen=True)
class Workspace:
    """`root` is absolute and free of links; build it with `Workspace.open`."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """The workspace at an existing folder. Raises InvalidPath."""
        resolved = root.expanduser().resolve()
        if not resolved.is_dir():
            raise InvalidPath(
                f"the workspace {root} is not a folder",
                details={"path": str(root)},
                suggestion="Create it, or name another one with --workspace or FORGELLM_WORKSPACE.",
            )
        return cls(resolved)

    @property
    def datasets(self) -> Path:
        return self.root / "dataset"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def base_models(self) -> Path:
        return self.models / "base"

    @property
    def published(self) -> Path:
        return self.models / "published"

    @property
    def exports(self) -> Path:
        """What models and adapters were made into for other programs."""
        return self.models / "exports"

    @property
    def private(self) -> Path:
        """What is not for people: the counter, locks, the trash."""
        return self.root / ".forgellm"

    @property
    def training_lock(self) -> Path:
        """Held by the one run that trains."""
        return self.private / "training.lock"

    @property
    def tokens(self) -> Path:
        """Datasets in tokens, kept so that they are made once; may be deleted."""
        return self.private / "tokens"

    @property
    def trash(self) -> Path:
        return self.private / "trash"

    def resolve(self, text: str, *, within: Path | None = None) -> Path:
        """The absolute path that `text` names strictly below `within` (default: the root), links followed.

        A relative text starts at `within`. The path need not exist. Raises InvalidPath.
        """
        folder = (within or self.root).resolve()
        if not text or len(text) > MAX_PATH_LENGTH or "\0" in text or "\\" in text:
            raise _invalid(text, "it is empty, too long, or has a NUL or a backslash")
        try:
            path = (folder / text).resolve()
            # Resolving passes over a name that is too long for the file system.
            with suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(path)
        # A loop of links is a RuntimeError up to Python 3.12; a lone surrogate is a ValueError.
        except (OSError, RuntimeError, ValueError) as error:
            raise _invalid(text, "it cannot name a file") from error
        if folder not in path.parents:
            raise _invalid(text, "it leads outside")
        return path

    def relative(self, path: Path) -> str:
        """The path relative to the root, with forward slashes. Raises InvalidPath for one outside."""
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError as error:
            raise _invalid(str(path), "it leads outside") from error


def visible_folders(workspace: Workspace, parent: Path) -> Iterator[Path]:
    """The folders in `parent`, without hidden ones and without links that leave it."""
    for path in parent.iterdir() if parent.is_dir() else ():
        if not path.name.startswith(".") and path.is_dir():
            with suppress(InvalidPath):
                workspace.resolve(path.name, within=parent)
                yield path


def _invalid(text: str, reason: str) -> InvalidPath:
    shown = repr(text if len(text) <= 80 else text[:80] + "…")
    return InvalidPath(
        f"{shown} is not a path inside the workspace: {reason}",
        details={"path": shown},
        suggestion="Give a path relative to the workspace, such as models/base/NAME.",
    )
