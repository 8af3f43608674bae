"""Which dataset of examples is meant: by the name of what was uploaded, or the newest where none is named."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

from forgellm.data.example_files import row_files
from forgellm.data.records import RecordFile
from forgellm.data.shapes import MEANING, SHAPES, Shape
from forgellm.domain.errors import DatasetNotFound, InvalidDataset
from forgellm.services import samples
from forgellm.services.datasets import DatasetInfo, datasets
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import read_decisions

INSTRUCTIONS: tuple[Shape, ...] = tuple(s for s in SHAPES if s not in ("text", "preference"))
"""The shapes of rows that instruction fine-tuning learns from."""


def newest_preferences(parts: Parts) -> str:
    """The dataset of preferences that was changed last. Raises DatasetNotFound."""
    for found in _newest_first(parts):
        if "preference" in shapes_of(parts, found):
            return found
    raise DatasetNotFound(
        "there is no dataset of preferences",
        suggestion="Bring rows with prompt, chosen and rejected, and name their dataset.",
    )


def newest(parts: Parts, *, held_out: bool = False) -> str:
    """The dataset of instructions that was changed last; the sample one where there is none. With `held_out`
    only those that have a part which is not trained on.

    Raises DiskFull, ReadOnly.
    """
    for found in _newest_first(parts):
        usable = not held_out or _holds_out(parts.workspace.datasets / found)
        if usable and set(shapes_of(parts, found)) & set(INSTRUCTIONS):
            return found
    samples.bring_dataset(parts, samples.QUESTIONS)
    return samples.QUESTIONS


def uploaded(parts: Parts, text: str) -> str:
    """The dataset of that name or path, that the file at that path lies in, or whose only file has that name
    (`dataset.jsonl`): of these the one that was brought last.

    Raises DatasetNotFound, InvalidPath.
    """
    if "/" not in text:
        named = [found for found in datasets(parts) if found.name != text and found.only_file == text]
        if named:
            return max(named, key=lambda found: (_arrived(parts, found), found.changed)).name
    try:
        folder = find_dataset(parts.workspace, text)
    except DatasetNotFound:
        file = parts.workspace.resolve(text.removeprefix("dataset/"), within=parts.workspace.datasets)
        if not file.is_file():
            raise
        folder = file
    inside = folder.relative_to(parts.workspace.datasets.resolve())
    return inside.parts[0] if folder.is_file() else inside.as_posix()


def shapes_of(parts: Parts, name: str) -> list[Shape]:
    """What the files of rows in a dataset are taken for, from their first rows. Raises DatasetNotFound."""
    return list(_shapes(find_dataset(parts.workspace, name)))


def check_shape(parts: Parts, name: str, wanted: Collection[Shape], *, task: str) -> None:
    """Raises InvalidDataset where no file has a shape that is wanted for the task."""
    found = shapes_of(parts, name)
    if set(found) & set(wanted):
        return
    shown = "; ".join(MEANING[shape] for shape in dict.fromkeys(found)) or "nothing that is known"
    raise InvalidDataset(
        f"dataset {name} holds {shown}, which {task} does not learn from",
        details={"dataset": name, "shapes": found, "wanted": list(wanted)},
        suggestion=f"Give rows of {' or '.join(MEANING[shape] for shape in wanted)}.",
    )


def _arrived(parts: Parts, found: DatasetInfo) -> datetime:
    """When it was brought, which no decision about it changes; when it was changed where nobody knows."""
    try:
        source = read_decisions(parts.workspace.datasets / found.name).source or {}
        time = datetime.fromisoformat(str(source.get("time")))
    except (InvalidDataset, ValueError):
        return found.changed
    return found.changed if time.tzinfo is None else time


def _newest_first(parts: Parts) -> list[str]:
    known = sorted(datasets(parts), key=lambda one: one.changed, reverse=True)
    return [found.name for found in known]


def _shapes(folder: Path) -> Iterator[Shape]:
    decisions = read_decisions(folder)
    for file in row_files(folder, part="train"):
        shape = RecordFile(file, decisions).recognition.shape
        if shape is not None:
            yield shape


def _holds_out(folder: Path) -> bool:
    return any(file.part != "train" for file in row_files(folder))
