"""Models by whole numbers, for APIs that know no names.

A run that has weights keeps its own number, a registered model has one of the same counter, and that of a
folder is made of its name: it is the same in every session, and nothing has to be written to know it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from forgellm.domain.errors import ForgeError, ModelNotFound
from forgellm.domain.runs import Run, RunKind
from forgellm.services.model_info import describe_model
from forgellm.services.models import Catalogue, Model, catalogue
from forgellm.services.parts import Parts
from forgellm.services.resident import written
from forgellm.storage.labels import read_label
from forgellm.storage.models import find_model, has_chat_template
from forgellm.storage.numbers import new_number
from forgellm.storage.registered import Registered, list_registered, write_registered
from forgellm.storage.runs import list_runs, run_folder

# Nine digits: far above what a counter comes to, far below what JSON readers round.
_FIRST, _MANY = 100_000_000, 900_000_000


@dataclass(frozen=True)
class NumberedModel:
    """`asked_for` is the name by which a model server finds it, `base_model` what it was made of."""

    id: int
    kind: Literal["base", "published", "registered", "trained"]
    name: str
    asked_for: str
    base_model: str
    size_bytes: int
    created: datetime
    updated: datetime
    description: str
    model_size: str | None = None
    run: Run | None = None


def numbered_models(parts: Parts, found: Catalogue | None = None) -> list[NumberedModel]:
    """Every model, or those of a catalogue: base models first, the smallest at the top; of the others the
    newest first."""
    found = catalogue(parts) if found is None else found
    taken: set[int] = set()
    base = sorted(found.base, key=lambda model: (model.size_bytes, model.name))
    return [
        *(_folder(parts, model, model.name, taken=taken) for model in base),
        *(_folder(parts, model, f"models/{model.path}", taken=taken) for model in found.published),
        *(_registered(known) for known in list_registered(parts.workspace)),
        *_trained(parts, [*found.ift, *found.cpt]),
    ]


def trained_models(parts: Parts) -> list[NumberedModel]:
    """Runs that have weights, the newest first."""
    found = catalogue(parts)
    return list(_trained(parts, [*found.ift, *found.cpt]))


def find_numbered(parts: Parts, number: int) -> NumberedModel:
    """The model with that number. Raises ModelNotFound."""
    models = numbered_models(parts)
    model = next((model for model in models if model.id == number), None)
    if model is None:
        raise ModelNotFound(
            f"there is no model {number}",
            details={"model": number, "known": [known.id for known in models][:50]},
            suggestion="GET /api/models lists the models with their ids.",
        )
    return model


def register(
    parts: Parts, *, name: str, base_model: str, description: str, model_size: str | None
) -> Registered:
    """Keep a name for a base model that is here.

    Raises ModelNotFound, InvalidModel, UntrustedModelCode, DiskFull, ReadOnly.
    """
    find_model(parts.workspace, parts.hub_cache, base_model)
    model = Registered(
        number=new_number(parts.workspace, list_runs(parts.workspace)),
        name=name,
        base_model=base_model,
        description=description,
        model_size=model_size,
        created=parts.clock(),
    )
    write_registered(parts.workspace, model)
    return model


def parameters(parts: Parts, model: NumberedModel) -> str | None:
    """How many parameters the model has, as `124M`; None where its weights do not say."""
    if model.model_size is not None:
        return model.model_size
    place = model.asked_for if model.kind == "published" else model.base_model
    try:
        count = describe_model(find_model(parts.workspace, parts.hub_cache, place)).parameters
    except (ForgeError, OSError):
        # It is listed with what is known: one that cannot be used hides no other.
        return None
    return None if count is None else shortened(count)


def shortened(count: int) -> str:
    """`124M`, `1.5B`, `7B`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return (
                f"{count / size:.1f}".removesuffix(".0") + letter
                if count < 10 * size
                else (f"{count / size:.0f}{letter}")
            )
    return str(count)


def converses(parts: Parts, model: NumberedModel) -> bool:
    """Whether it is asked as one asks in a chat; otherwise it goes on with a text."""
    if model.run is not None and model.run.kind is not RunKind.CPT:
        return True
    place = model.asked_for if model.kind == "published" else model.base_model
    return has_chat_template(find_model(parts.workspace, parts.hub_cache, place).path)


def _folder(parts: Parts, model: Model, name: str, *, taken: set[int]) -> NumberedModel:
    created = model.created or written(parts, name)
    published = name != model.name
    return NumberedModel(
        id=_number(name, taken),
        kind="published" if published else "base",
        name=model.name,
        asked_for=name,
        base_model=name,
        size_bytes=model.size_bytes,
        created=created,
        updated=created,
        description="Published model" if published else "Base model",
    )


def number_of(name: str) -> int:
    """The number of the base or published model of that name."""
    return _FIRST + zlib.crc32(name.encode()) % _MANY


def _number(name: str, taken: set[int]) -> int:
    number = number_of(name)
    while number in taken:
        number += 1
    taken.add(number)
    return number


def _registered(known: Registered) -> NumberedModel:
    return NumberedModel(
        id=known.number,
        kind="registered",
        name=known.name,
        asked_for=known.base_model,
        base_model=known.base_model,
        size_bytes=0,
        created=known.created,
        updated=known.created,
        description=known.description,
        model_size=known.model_size,
    )


def _trained(parts: Parts, models: list[Model]) -> Iterator[NumberedModel]:
    runs = [(model, model.run) for model in models if model.run is not None]
    yield from map(partial(_run, parts), sorted(runs, key=lambda pair: -pair[1].number))


def _run(parts: Parts, pair: tuple[Model, Run]) -> NumberedModel:
    model, run = pair
    folder = run_folder(parts.workspace, run)
    changed = (folder / "adapters.safetensors").stat().st_mtime
    label = read_label(folder)
    return NumberedModel(
        id=run.number,
        kind="trained",
        name=label.name or model.name,
        asked_for=run.id,
        base_model=str(run.spec.get("model_name")),
        size_bytes=model.size_bytes,
        created=run.created,
        updated=datetime.fromtimestamp(changed, run.created.tzinfo),
        description=label.notes or f"Trained on {run.spec.get('dataset')}",
        run=run,
    )
