"""Models as their page shows them: what there is, whether it fits, cards, deleting and undoing that."""

from __future__ import annotations

import threading
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.native.wording import gigabytes, utc
from forgellm.api.routes import Answer, Body, File, Query, Route
from forgellm.domain.errors import InvalidField
from forgellm.forge import Forge
from forgellm.services import cards, removal, samples
from forgellm.services.library import Entry, Kind, library
from forgellm.services.memory import Fit as FitWord
from forgellm.services.memory import Machine, fit
from forgellm.storage.trash import bring_back

_LOOK_SECONDS = 0.1


class Fit(BaseModel):
    """What is projected, against the limit of this machine."""

    fit: FitWord
    needed_gb: float


class Adapter(BaseModel):
    training_id: str
    training_type: str
    base_model: str
    dataset: str | None
    fine_tune_type: str | None = Field(description="null where adapter_config.json cannot be read")
    rank: int | None = Field(description="null where whole weights learnt")


class LibraryModel(BaseModel):
    """A model, or a run's adapter with what is known of its base model."""

    name: str = Field(description="what model_name takes; the id of an adapter's run")
    kind: Kind
    path: str = Field(description="relative to the workspace; the Hub id of a downloaded model")
    size_gb: float
    created_at: str | None
    model_type: Literal["base", "instruct"] | None = Field(description="by the tokenizer's chat template")
    architecture: str | None
    parameters: int | None
    quantization: str | None = Field(description="how weights are stored: bf16, 4-bit …")
    quantized: bool
    group_sizes: list[int] = Field(
        description="in which the model can be quantized; none where it is already"
    )
    context_length: int | None
    licence: str | None = Field(description="as the model's card names it")
    has_card: bool
    has_picture: bool
    adapter: Adapter | None
    chat: Fit | None
    training: Fit | None = Field(description="with the usual settings; null where it cannot be told")
    problem: str | None = Field(description="what keeps it from being used")


class MachineMemory(BaseModel):
    memory_total_gb: float
    memory_limit_gb: float = Field(description="what a program may use")
    memory_available_gb: float
    note: str = Field(description="why that is the limit")


class LibraryAnswer(Answer):
    models: list[LibraryModel]
    machine: MachineMemory
    sequence_length: int = Field(description="tokens in a sequence of the training that is projected")


class Named(Query):
    name: str = Field(max_length=1024, description="a model, as model_name takes it")


class CardAnswer(Answer):
    name: str
    card: str = Field(description="Markdown, without the data in front of it")
    licence: str | None


class Deletion(Query):
    for_good: bool = Field(
        False, description="a downloaded model cannot be brought back: true says that this is meant"
    )


class Deleted(Answer):
    message: str
    restore: str | None = Field(
        description="what `entry` of POST /api/models/restore takes; null if it is gone for good"
    )


class Restore(Body):
    entry: str = Field(max_length=200, description="what DELETE /api/models/{name} answered as `restore`")


class Restored(Answer):
    message: str
    name: str


class Brought(Answer):
    message: str
    name: str = Field(description="what model_name takes")


def index(forge: Forge) -> LibraryAnswer:
    """Every model and adapter: what it is made of, its licence, and whether it fits this machine."""
    found = library(forge)
    return LibraryAnswer(
        models=[_item(entry, found.machine) for entry in found.entries],
        machine=machine_memory(found.machine),
        sequence_length=found.sequence_length,
    )


def card(forge: Forge, query: Named) -> CardAnswer:
    """The README.md of a model that is here."""
    found = cards.card(forge, query.name)
    return CardAnswer(name=query.name, card=found.text, licence=found.licence)


def picture(forge: Forge, query: Named) -> File:
    """The curves of the run that a published model comes from."""
    return File(cards.picture(forge, query.name), "image/png")


def delete(forge: Forge, name: str, query: Deletion) -> Deleted:
    """Put a base or published model into the trash, delete a downloaded one for good. 409 while in use."""
    pause = threading.Event()

    def wait() -> None:
        pause.wait(_LOOK_SECONDS)

    found = removal.find_removable(forge, name, wait=wait)
    if found.for_good and not query.for_good:
        raise InvalidField(
            f"{found.name} was downloaded: it would be deleted for good",
            details={"field": "for_good", "size_bytes": found.size_bytes},
            suggestion="Say for_good=true; it can be pulled again.",
        )
    entry = removal.remove(forge, found)
    where = "deleted" if entry is None else "in the trash"
    return Deleted(message=f"{found.name} is {where}", restore=entry)


def restore(forge: Forge, body: Restore) -> Restored:
    """Bring a model back from the trash, to its place or beside it."""
    place = bring_back(forge.workspace, body.entry)
    name = f"models/{place.parent.name}/{place.name}"
    return Restored(message=f"{name} is back", name=name)


def bring_built_in(forge: Forge) -> Brought:
    """Copy the small model that ships with ForgeLLM into the workspace; needs no network."""
    brought = samples.bring_model(forge)
    name = f"models/base/{samples.MODEL}"
    return Brought(message=f"{name} is here" if brought else f"{name} was here already", name=name)


def machine_memory(machine: Machine) -> MachineMemory:
    """The machine's memory under the API's names."""
    return MachineMemory(
        memory_total_gb=gigabytes(machine.total),
        memory_limit_gb=gigabytes(machine.limit),
        memory_available_gb=gigabytes(machine.available),
        note=machine.note,
    )


def projected(needed: int | None, machine: Machine) -> Fit | None:
    """How needed bytes go with the machine."""
    return None if needed is None else Fit(fit=fit(needed, machine.limit), needed_gb=gigabytes(needed))


def _item(entry: Entry, machine: Machine) -> LibraryModel:
    info = entry.info
    return LibraryModel(
        name=entry.name,
        kind=entry.kind,
        path=entry.path,
        size_gb=gigabytes(entry.size_bytes),
        created_at=None if entry.created is None else utc(entry.created),
        model_type=info.model_type if info else None,
        architecture=info.architecture if info else None,
        parameters=info.parameters if info else None,
        quantization=info.quantization if info else None,
        quantized=entry.quantized,
        group_sizes=list(info.group_sizes) if info else [],
        context_length=info.context_length if info else None,
        licence=entry.licence,
        has_card=entry.has_card,
        has_picture=entry.has_picture,
        adapter=_adapter(entry),
        chat=projected(entry.needs.chat, machine),
        training=projected(entry.needs.training, machine),
        problem=entry.problem,
    )


def _adapter(entry: Entry) -> Adapter | None:
    if entry.run is None:
        return None
    config, dataset = entry.adapter, entry.run.spec.get("dataset")
    return Adapter(
        training_id=entry.run.id,
        training_type=entry.run.kind.value,
        base_model=str(entry.run.spec.get("model_name")),
        dataset=dataset if isinstance(dataset, str) else None,
        fine_tune_type=config.fine_tune_type if config else None,
        rank=config.rank if config and config.fine_tune_type != "full" else None,
    )


ROUTES = (
    Route("GET", "/api/models/library", index),
    Route("GET", "/api/models/card", card),
    Route("GET", "/api/models/picture", picture, media_type="image/png"),
    Route("POST", "/api/models/restore", restore),
    Route("POST", "/api/models/built-in", bring_built_in),
    # A Hub id has a slash in it.
    Route("DELETE", "/api/models/<rest:name>", delete),
)
