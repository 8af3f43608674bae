"""Folders of this machine, and what stands for them in an answer: where they lie is nobody's business."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from forgellm.services.parts import Parts


class Places:
    """`folders` has, for each absolute folder, what is written instead; nothing for the workspace, whose
    paths are relative everywhere, and which is `.` itself."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        # The longest first: one may lie in the other. The root of a disk would be everywhere.
        names = sorted((name for name in folders if len(name) > 1), key=len, reverse=True)
        self._folders = folders
        self._escaped = [json.dumps(name)[1:-1].encode() for name in names]
        known = "|".join(map(re.escape, names))
        self._pattern = re.compile(rf"(?<![\w.~-])({known})(?![\w-]|\.\w)(/(?=[^\s'\"]))?")

    def are_in(self, text: bytes) -> bool:
        """Whether JSON names one of the folders; quick, for answers of many megabytes."""
        return any(name in text for name in self._escaped)

    def hidden(self, value: object) -> object:
        """`value`, which is of JSON, without the folders."""
        if isinstance(value, str):
            return self._pattern.sub(self._instead, value)
        if isinstance(value, Mapping):
            return {key: self.hidden(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hidden(item) for item in value]
        return value

    def _instead(self, match: re.Match[str]) -> str:
        name, slash = self._folders[match[1]], match[2] or ""
        if name:
            return name + slash
        return "" if slash else "."


def places(parts: Parts) -> Places:
    """The workspace, the Hub cache and the home."""
    home = Path.home()
    known = {str(parts.workspace.root): "", str(home): "~"}
    if home not in parts.hub_cache.parents:
        known[str(parts.hub_cache)] = "Hub cache"
    return Places(known)
