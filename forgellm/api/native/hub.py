"""The Hugging Face Hub from the page: looking for a model, and downloads with their progress."""

from __future__ import annotations

import threading

from pydantic import BaseModel, Field

from forgellm.api.native.models import CardAnswer, Fit, MachineMemory, Named, machine_memory, projected
from forgellm.api.native.wording import gigabytes
from forgellm.api.routes import Answer, Body, Query, Route
from forgellm.domain.chat import ModelType
from forgellm.forge import Forge
from forgellm.inference.memory import loaded_bytes
from forgellm.services import hub_search, pulls
from forgellm.services.cards import parse_card
from forgellm.services.memory import Machine, machine
from forgellm.storage.pulls import Pull, State, list_pulls

_LOOK_SECONDS = 0.1


class Search(Query):
    q: str = Field("", max_length=200, description="a part of the model's id")
    limit: int = Field(20, ge=1, le=100)
    only_mlx: bool = Field(
        True, description="only what was converted for MLX; others are converted when loaded"
    )


class HubModel(BaseModel):
    """A model as the Hub describes it; whatever it does not say is null."""

    name: str
    downloads: int | None
    likes: int | None
    updated_at: str | None
    gated: bool = Field(description="its terms have to be accepted on the Hub first")
    licence: str | None
    architecture: str | None
    model_type: ModelType | None
    quantization: str | None
    parameters: int | None
    size_gb: float | None = Field(description="of its weights")
    chat: Fit | None


class Found(Answer):
    models: list[HubModel]
    machine: MachineMemory


class Wish(Body):
    name: str = Field(
        max_length=200, description="the id of a model on the Hub, such as mlx-community/Qwen3-4B-bf16"
    )


class PullFailure(BaseModel):
    error: str
    error_code: str
    suggestion: str


class PullItem(BaseModel):
    id: str
    name: str
    state: State
    begun_at: str
    downloaded_bytes: int | None
    total_bytes: int | None = Field(description="of the weights; null until the Hub has said it")
    bytes_per_second: float | None
    eta_seconds: float | None
    failure: PullFailure | None


class Pulls(Answer):
    pulls: list[PullItem]


class PullStarted(Answer):
    message: str
    pull: PullItem


class PullEnded(Answer):
    message: str
    pull: PullItem | None = Field(description="null where it was over, and is forgotten")


def search(forge: Forge, query: Search) -> Found:
    """Models on the Hub, the most downloaded first. 503 HUB_UNREACHABLE where there is no network."""
    known = machine()
    found = hub_search.search(query.q.strip(), limit=query.limit, only_mlx=query.only_mlx)
    return Found(models=[_found(model, known) for model in found], machine=machine_memory(known))


def card(_: Forge, query: Named) -> CardAnswer:
    """The README.md of a model on the Hub."""
    found = parse_card(hub_search.hub_card(query.name))
    return CardAnswer(name=query.name, card=found.text, licence=found.licence)


def pull(forge: Forge, body: Wish) -> PullStarted:
    """Begin to download a model, or go on with what has come of it; answers at once."""
    begun = pulls.start(forge, body.name)
    return PullStarted(message=f"{begun.name} is being downloaded", pull=_pull(begun))


def index(forge: Forge) -> Pulls:
    """Downloads that go on, and those that are over until they are forgotten, the newest first."""
    return Pulls(pulls=[_pull(found) for found in list_pulls(forge.workspace)])


def cancel(forge: Forge, pull_id: str) -> PullEnded:
    """End a download; what has come stays, and another POST goes on. One that is over is forgotten."""
    pause = threading.Event()

    def wait() -> None:
        pause.wait(_LOOK_SECONDS)

    ended = pulls.cancel(forge, pull_id, wait=wait)
    if ended is None:
        return PullEnded(message="The download is forgotten", pull=None)
    return PullEnded(message=f"The download of {ended.name} was cancelled", pull=_pull(ended))


def _found(model: hub_search.HubModel, machine: Machine) -> HubModel:
    size = model.weight_bytes
    return HubModel(
        name=model.name,
        downloads=model.downloads,
        likes=model.likes,
        updated_at=model.updated,
        gated=model.gated,
        licence=model.licence,
        architecture=model.architecture,
        model_type=model.model_type,
        quantization=model.quantization,
        parameters=model.parameters,
        size_gb=None if size is None else gigabytes(size),
        chat=projected(None if size is None else loaded_bytes(size), machine),
    )


def _pull(pull: Pull) -> PullItem:
    failure, speed = pull.failure, pull.bytes_per_second
    left = None if pull.total_bytes is None else pull.total_bytes - (pull.done_bytes or 0)
    return PullItem(
        id=pull.id,
        name=pull.name,
        state=pull.state,
        begun_at=pull.begun,
        downloaded_bytes=pull.done_bytes,
        total_bytes=pull.total_bytes,
        bytes_per_second=speed,
        eta_seconds=None if left is None or not speed else left / speed,
        failure=None
        if failure is None
        else PullFailure(
            error=str(failure["error"]),
            error_code=str(failure["code"]),
            suggestion=str(failure["suggestion"]),
        ),
    )


ROUTES = (
    Route("GET", "/api/hub/search", search),
    Route("GET", "/api/hub/card", card),
    Route("POST", "/api/models/pull", pull),
    Route("GET", "/api/models/pulls", index),
    Route("DELETE", "/api/models/pulls/<pull_id>", cancel),
)
