"""What a model says of itself: the README.md beside its weights, and the licence that is named there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from forgellm.domain.errors import PathNotFound
from forgellm.services.parts import Parts
from forgellm.storage.files import own_file
from forgellm.storage.models import find_model

_PICTURE = "training_dashboard.png"

_CARD_BYTES = 1 << 20
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.{0,65536}?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """`text` is Markdown without the data in front; `licence` as the Hub names it, None if left out."""

    text: str
    licence: str | None


def card(parts: Parts, name: str) -> Card:
    """The card of a model that is here. Raises what `find_model` raises, PathNotFound where it has none."""
    found = read_card(find_model(parts.workspace, parts.hub_cache, name).path)
    if found is None:
        raise PathNotFound(
            f"{name} has no README.md",
            details={"model": name},
            suggestion="Its page on the Hub may have one, and pulling it again fetches that.",
        )
    return found


def picture(parts: Parts, name: str) -> Path:
    """The curves of the run that a published model comes from. Raises what `card` raises."""
    path = picture_of(find_model(parts.workspace, parts.hub_cache, name).path)
    if path is None:
        raise PathNotFound(f"{name} has no {_PICTURE}", suggestion="Published models have one.")
    return path


def picture_of(folder: Path) -> Path | None:
    """The picture in the folder of a published model."""
    path = folder / _PICTURE
    return path if path.is_file() and _belongs(path, folder) else None


def read_card(folder: Path) -> Card | None:
    """The card in the folder of a model, None where there is none that can be read."""
    path = (folder / "README.md").resolve()
    try:
        if not _belongs(path, folder):
            return None
        with open(path, "rb", opener=own_file) as file:
            return parse_card(file.read(_CARD_BYTES).decode("utf-8", errors="replace"))
    except OSError:
        return None


def _belongs(path: Path, folder: Path) -> bool:
    """A link may lead to where the Hub's cache keeps the contents of a model, and nowhere else."""
    cached = folder.parent.name == "snapshots"
    return (folder.parents[1] if cached else folder).resolve() in path.resolve().parents


def parse_card(text: str) -> Card:
    """The card in a README."""
    front = _FRONT.match(text)
    return Card(text[front.end() :].lstrip() if front else text, _licence(front[1]) if front else None)


def _licence(front: str) -> str | None:
    try:
        data = yaml.safe_load(front)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    values = data if isinstance(data, dict) else {}
    found = values.get("license")
    if found in (None, "other", "unknown"):
        found = values.get("license_name") or found
    if isinstance(found, list) and found:
        found = found[0]
    return str(found)[:60] if isinstance(found, str) and found else None
