"""Saved conversations: JSON files under the workspace's .forgellm/chats, by name."""

from __future__ import annotations

import re
from pathlib import Path

from forgellm.domain.errors import InvalidField, PathNotFound
from forgellm.storage.files import read_json, write_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Chats:
    """The conversations saved in `folder`, which is made when the first one is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: set[str] = set()

    def names(self) -> list[str]:
        """Those there are."""
        return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def save(self, name: str, values: object) -> Path:
        """Write it, over an older one only if that was saved or loaded here. Raises InvalidField."""
        path = self._path(name)
        if path.exists() and name not in self._own:
            raise InvalidField(
                f"there is a conversation {name} already",
                suggestion="Choose another name, or /load it first.",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(path, values)
        self._own.add(name)
        return path

    def load(self, name: str) -> object:
        """What was saved. Raises PathNotFound, InvalidField."""
        path = self._path(name)
        try:
            values = read_json(path)
        except FileNotFoundError:
            raise PathNotFound(
                f"there is no conversation {name}",
                suggestion="There are: " + (", ".join(self.names()) or "none; /save NAME makes one."),
            ) from None
        except ValueError as error:
            raise InvalidField(f"{path.name} is damaged: {error}") from error
        self._own.add(name)
        return values

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidField(
                f"{name!r:.40} cannot name a conversation",
                suggestion="Use letters from a to z, digits, dots, hyphens and underscores.",
            )
        return self._folder / f"{name}.json"
