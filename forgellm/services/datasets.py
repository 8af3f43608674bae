"""The datasets of the workspace, as the page lists them. What is in their rows is not looked at."""

from __future__ import annotations

from dataclasses import dataclass

from forgellm.services.browsing import count
from forgellm.services.parts import Parts
from forgellm.storage.datasets import list_datasets

BYTES_PER_TOKEN = 4
"""The usual rule of thumb for English text; other languages and code have fewer bytes in a token."""


@dataclass(frozen=True)
class DatasetInfo:
    """`estimated_tokens` comes from the size alone: the exact count needs a model's tokenizer."""

    name: str
    path: str
    file_count: int
    size_bytes: int
    estimated_tokens: int


def datasets(parts: Parts) -> list[DatasetInfo]:
    """Every dataset, by name."""
    return [_info(parts, name) for name in list_datasets(parts.workspace)]


def _info(parts: Parts, name: str) -> DatasetInfo:
    files, size = count(parts.workspace.datasets / name)
    return DatasetInfo(name, f"dataset/{name}", files, size, size // BYTES_PER_TOKEN)
