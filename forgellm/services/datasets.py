"""The datasets of the workspace, as the page lists them. What is in their rows is `contents`' part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone

from forgellm.services.browsing import count
from forgellm.services.parts import Parts
from forgellm.storage.datasets import list_datasets

BYTES_PER_TOKEN = 4
"""The usual rule of thumb for English text; other languages and code have fewer bytes in a token."""


@dataclass(frozen=True)
class DatasetInfo:
    """`estimated_tokens` comes from the size alone: the exact count needs a model's tokenizer.

    `only_file` is the name of the file where there is no other; `changed` is when one was added or
    taken away.
    """

    name: str
    path: str
    file_count: int
    size_bytes: int
    estimated_tokens: int
    only_file: str | None
    changed: datetime


def datasets(parts: Parts) -> list[DatasetInfo]:
    """Every dataset, by name."""
    found = (_info(parts, name) for name in list_datasets(parts.workspace))
    return [info for info in found if info is not None]


def _info(parts: Parts, name: str) -> DatasetInfo | None:
    """None where it has gone since its name was read."""
    folder = parts.workspace.datasets / name
    files, size = count(folder)
    try:
        changed = folder.stat().st_mtime
        visible = [one for one in os.listdir(folder) if not one.startswith(".")] if files == 1 else []
    except FileNotFoundError:
        return None
    return DatasetInfo(
        name=name,
        path=f"dataset/{name}",
        file_count=files,
        size_bytes=size,
        estimated_tokens=size // BYTES_PER_TOKEN,
        only_file=visible[0] if len(visible) == 1 else None,
        changed=datetime.fromtimestamp(changed, timezone.utc),
    )
