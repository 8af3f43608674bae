"""GET /v1/models: every name that `model` takes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.routes import Reply, Route
from forgellm.domain.chat import Target
from forgellm.services.model_host import ModelHost
from forgellm.services.resident import known_names, label, named, written


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = Field(description="base, published, run, project; combination for a base with an adapter")


class Models(Reply):
    object: Literal["list"] = "list"
    data: list[Model]


class OneModel(Reply, Model):
    pass


def models(host: ModelHost) -> Models:
    """Base models, published models, runs with their best checkpoint, and what is resident."""
    return Models(data=_all(host))


def model(host: ModelHost, name: str) -> OneModel:
    """One of them, or a combination that could be loaded."""
    found = next((known for known in _all(host) if known.id == name), None)
    if found is not None:
        return OneModel(**found.model_dump())
    return OneModel(**_combination(host, name, named(host.parts, name)).model_dump())


def _all(host: ModelHost) -> list[Model]:
    known = [
        Model(id=found.name, created=_seconds(found.created), owned_by=found.kind)
        for found in known_names(host.parts)
    ]
    target = host.status().target
    if target is not None and label(target) not in {found.id for found in known}:
        known.append(_combination(host, label(target), target))
    return known


def _combination(host: ModelHost, name: str, target: Target) -> Model:
    return Model(id=name, created=_seconds(written(host.parts, target.model_name)), owned_by="combination")


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


ROUTES = (
    Route("GET", "/v1/models", models),
    Route("GET", "/v1/models/<path:name>", model),
)
