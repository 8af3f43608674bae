"""Every model with what it is made of, its licence, and whether this machine can chat with it and train it.

All of it comes from configurations and the headers of weights: nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from forgellm.domain.errors import ForgeError
from forgellm.domain.extent import DEFAULT_SEQUENCE_LENGTH, sequence_length
from forgellm.domain.runs import Run
from forgellm.domain.spec import parse_spec
from forgellm.inference.memory import loaded_bytes
from forgellm.services.cards import picture_of, read_card
from forgellm.services.learnable import learnable
from forgellm.services.memory import Machine, estimate, machine
from forgellm.services.model_info import ModelInfo, describe_model
from forgellm.services.models import Model, catalogue, folder_size
from forgellm.services.parts import Parts
from forgellm.storage.adapters import AdapterConfig, read_config
from forgellm.storage.models import ModelFolder, context_length, find_model, is_quantized
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import visible_folders

Kind = Literal["cached", "base", "adapter", "published"]


@dataclass(frozen=True)
class Needs:
    """Bytes of memory at the peak, None where they cannot be told: `chat` as loading checks it, `training`
    with the usual settings.
    """

    chat: int | None = None
    training: int | None = None


@dataclass(frozen=True)
class Entry:
    """`name` is what model_name takes, an adapter's the id of its `run`. `info` is that of the base model
    where it is an adapter, None where that is missing; `problem` says what keeps it from being used.
    """

    name: str
    kind: Kind
    path: str
    size_bytes: int
    created: datetime | None = None
    run: Run | None = None
    adapter: AdapterConfig | None = None
    info: ModelInfo | None = None
    quantized: bool = False
    licence: str | None = None
    has_card: bool = False
    has_picture: bool = False
    needs: Needs = Needs()
    problem: str | None = None


@dataclass(frozen=True)
class Library:
    entries: list[Entry]
    machine: Machine
    sequence_length: int
    """Tokens in a sequence of the training that `Needs` speaks of, where a model's context allows as many."""


def library(parts: Parts) -> Library:
    """What there is now, the newest first within a kind."""
    found = catalogue(parts)
    bases = _Bases(parts)
    entries = [
        *(_own(bases, m, "base" if m.name.startswith("models/") else "cached") for m in found.base),
        *(_own(bases, m, "published") for m in found.published),
        *(_adapter(parts, bases, m) for m in (*found.cpt, *found.ift)),
    ]
    known = {entry.path for entry in entries}
    broken = [entry for entry in _broken(parts) if entry.path not in known]
    return Library([*entries, *broken], machine(), DEFAULT_SEQUENCE_LENGTH)


class _Bases:
    """Models by name, each looked at once however many adapters were trained on it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: dict[str, Entry] = {}

    def entry(self, name: str) -> Entry:
        """What can be said of the model; its path and size are not known here."""
        if name not in self._known:
            try:
                self._known[name] = _described(find_model(self._parts.workspace, self._parts.hub_cache, name))
            except (ForgeError, OSError) as error:
                # It may be deleted while this looks.
                self._known[name] = Entry(name, "base", name, 0, problem=_problem(error))
        return self._known[name]


def _described(model: ModelFolder) -> Entry:
    info, card = describe_model(model), read_card(model.path)
    return Entry(
        model.name,
        "base",
        model.name,
        0,
        info=info,
        quantized=is_quantized(model.config),
        licence=None if card is None else card.licence,
        has_card=card is not None,
        has_picture=picture_of(model.path) is not None,
        needs=Needs(loaded_bytes(info.weight_bytes), _training_needs(model)),
    )


def _training_needs(model: ModelFolder) -> int | None:
    spec = parse_spec({"model_name": model.name, "training_type": "cpt", "dataset": "any"})
    try:
        length = sequence_length(spec, context_length(model.config))
        return estimate(model, spec, learnable(model, spec), length=length).total
    except ForgeError:
        return None


def _own(bases: _Bases, model: Model, kind: Kind) -> Entry:
    path = f"models/{model.path}" if kind == "published" else model.path
    return replace(
        bases.entry(path), name=path, kind=kind, path=path, size_bytes=model.size_bytes, created=model.created
    )


def _adapter(parts: Parts, bases: _Bases, model: Model) -> Entry:
    assert model.run is not None
    base = bases.entry(str(model.run.spec.get("model_name")))
    folder, config, problem = run_folder(parts.workspace, model.run), None, base.problem
    chat = None
    try:
        config = read_config(folder)
        if base.info is not None:
            weights = (folder / "adapters.safetensors").stat().st_size
            chat = loaded_bytes(base.info.weight_bytes + weights)
    except (ForgeError, OSError) as error:
        problem = _problem(error)
    return replace(
        base,
        name=model.run.id,
        kind="adapter",
        path=f"models/{model.path}",
        size_bytes=model.size_bytes,
        created=model.created,
        run=model.run,
        adapter=config,
        has_card=False,
        has_picture=False,
        needs=replace(base.needs, chat=chat),
        problem=problem,
    )


def _broken(parts: Parts) -> Iterator[Entry]:
    """Folders of the workspace that are no models, with what they lack. Those of the Hub's cache may be
    anything that other programs have put there."""
    kinds: dict[Kind, Path] = {"base": parts.workspace.base_models, "published": parts.workspace.published}
    for kind, parent in kinds.items():
        for folder in visible_folders(parts.workspace, parent):
            name = f"models/{parent.name}/{folder.name}"
            try:
                find_model(parts.workspace, parts.hub_cache, name)
            except ForgeError as error:
                yield Entry(name, kind, name, folder_size(folder), problem=_problem(error))


def _problem(error: ForgeError | OSError) -> str:
    """What is wrong, without the name of the model where it can be said so."""
    if not isinstance(error, ForgeError):
        return "it cannot be read"
    return str(error.details.get("problem") or error.message)
