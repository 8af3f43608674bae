"""What was decided about a dataset, by its owner or for him, in a hidden file of its folder.

What a shape, a column or a part of a row is called is `data`'s business; here they are words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from forgellm.domain.errors import InvalidDataset
from forgellm.storage.files import read_json, write_json

DECISIONS_FILE = ".dataset.json"
WHOLE_FILE = 0
"""Excluded in place of a line: all of the file."""


@dataclass(frozen=True)
class Decisions:
    """By file, named relative to the dataset's folder with forward slashes.

    `columns` maps the parts of a row (such as prompt) to columns, `shapes` names a file's shape, `excluded`
    has the line or row numbers that are left out, `[WHOLE_FILE]` for all of it. `source` says where the
    dataset came from.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, list[int]] = field(default_factory=dict)
    source: Mapping[str, object] | None = None


def read_decisions(folder: Path) -> Decisions:
    """Those of the dataset in `folder`; none where it has no such file. Raises InvalidDataset."""
    path = folder / DECISIONS_FILE
    try:
        return _parsed(read_json(path))
    except FileNotFoundError:
        return Decisions()
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InvalidDataset(
            f"{folder.name}/{DECISIONS_FILE}, which holds what was decided about the dataset, cannot be read",
            details={"dataset": folder.name, "reason": str(error)[:200]},
            suggestion="Mend it, or delete it: then everything is recognised anew, and nothing is left out.",
        ) from error


def write_decisions(folder: Path, decisions: Decisions) -> None:
    """Keep them with the dataset in `folder`. Raises DiskFull, ReadOnly."""
    write_json(folder / DECISIONS_FILE, asdict(decisions))


def _parsed(value: object) -> Decisions:
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    columns, shapes, excluded = (_mapping(value, key) for key in ("columns", "shapes", "excluded"))
    source = value.get("source")
    if not (source is None or isinstance(source, dict)):
        raise TypeError("source is no object")
    if not all(isinstance(shape, str) for shape in shapes.values()):
        raise TypeError("a shape is no text")
    return Decisions(
        columns={file: _texts(parts) for file, parts in columns.items()},
        shapes=cast("Mapping[str, str]", shapes),
        excluded={file: _numbers(numbers) for file, numbers in excluded.items()},
        source=source,
    )


def _mapping(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = value.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(f"{key} is no object")
    return found


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(column, str) for column in value.values()):
        raise TypeError("the columns of a file are no texts by part")
    return value


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int and number >= 0 for number in value):
        raise TypeError("what is excluded of a file is no list of numbers")
    return value
