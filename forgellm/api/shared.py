"""The paths that several systems claim, answered so that the clients of each find what their document says.

No key has two types there: where one document has a key, the others' answers have it as well.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forgellm import __version__
from forgellm.api.llm_platform import models as llm_platform
from forgellm.api.modelforge import models as modelforge
from forgellm.api.native import health as native_health
from forgellm.api.native import library
from forgellm.api.native.wording import utc
from forgellm.api.routes import Answer, Query, Route
from forgellm.forge import Forge
from forgellm.services import numbered, ollama
from forgellm.services.models import catalogue


class Narrowed(Query):
    trained: bool = Field(False, description="of `models` only those that were trained here")


class Model(modelforge.Model, llm_platform.Model):
    """With the keys of both; times in UTC, saying so."""


class Models(library.Models):
    models: list[Model] = Field(description="all of them with whole numbers as ids; the first can be asked")


class ModelDetails(modelforge.Details, llm_platform.Details, Answer):
    """With the keys of both."""


class Health(native_health.Health):
    version: str = __version__
    timestamp: str


class Alive(Answer):
    status: Literal["healthy"] = "healthy"
    version: str = __version__
    ollama_connected: bool
    timestamp: str


def models(forge: Forge, query: Narrowed) -> Models:
    """Base models, training runs that have weights, published models; and all of them by number."""
    found = catalogue(forge)
    known = numbered.numbered_models(forge, found)
    return Models(
        **library.four_lists(found).model_dump(),
        models=[_listed(forge, model) for model in known if model.run is not None or not query.trained],
    )


def model(forge: Forge, model_id: int) -> ModelDetails:
    """The model with that number."""
    found = numbered.find_numbered(forge, model_id)
    return ModelDetails.model_validate({**_both(forge, found), **modelforge.described(forge, found)})


def health(forge: Forge) -> Health:
    """Whether the servers run, and the memory and disk that are left."""
    return Health(**native_health.health(forge).model_dump(), timestamp=utc(forge.clock()))


def alive(forge: Forge) -> Alive:
    """That the server answers, and whether an Ollama does on this machine."""
    return Alive(ollama_connected=ollama.answers(), timestamp=utc(forge.clock()))


def _listed(forge: Forge, found: numbered.NumberedModel) -> Model:
    return Model.model_validate(_both(forge, found))


def _both(forge: Forge, found: numbered.NumberedModel) -> dict[str, object]:
    theirs = llm_platform.listed(forge, found).model_dump()
    ours = modelforge.listed(forge, found).model_dump()
    return {**theirs, **ours, "updated_at": utc(found.updated)}


ROUTES = (
    Route("GET", "/api/models", models),
    Route("GET", "/api/models/<number:model_id>", model),
    Route("GET", "/api/health", health),
    Route("GET", "/health", alive),
)
ANSWERED_ELSEWHERE = frozenset(
    {
        ("GET", "/"),
        ("GET", "/api/datasets"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
    }
)
"""Those of which another table has a route whose answer has every documented key."""

CLAIMED = frozenset((route.method, route.path) for route in ROUTES) | ANSWERED_ELSEWHERE
