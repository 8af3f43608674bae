"""Trained models as ModelForge documents them, by whole numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.native.wording import utc
from forgellm.api.routes import Reply, Route
from forgellm.api.terms import whole
from forgellm.domain.errors import ModelNotFound
from forgellm.domain.metrics import perplexity
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services import numbered, runs
from forgellm.services.marks import marks_of
from forgellm.services.numbered import NumberedModel
from forgellm.storage.registered import forget_registered
from forgellm.storage.runs import move_to_trash

_TASK, _STRATEGY = "text-generation", "sft"


class Model(BaseModel):
    id: int
    name: str
    base_model: str
    task: str
    created_at: str
    size_mb: int = Field(description="rounded up")


class Models(Reply):
    models: list[Model]


class TrainingParameters(BaseModel):
    num_epochs: int | float | None
    batch_size: int | None
    learning_rate: float | None


class Metrics(BaseModel):
    final_loss: float | None = Field(description="measured on held-out data, of the best checkpoint")
    perplexity: float | None = Field(description="of that loss")


class Details(Reply):
    id: int
    name: str
    base_model: str
    task: str
    provider: str | None = Field(description="what the request that started the training said")
    strategy: str | None
    training_params: TrainingParameters
    metrics: Metrics
    created_at: str


class Deleted(Reply):
    status: Literal["deleted"] = "deleted"
    message: str = "Model deleted successfully"


def index(forge: Forge) -> Models:
    """Runs that have weights, the newest first."""
    return Models(models=[listed(forge, model) for model in numbered.trained_models(forge)])


def show(forge: Forge, model_id: int) -> Details:
    """One of them."""
    model, _ = _trained(forge, model_id)
    return Details.model_validate(described(forge, model))


def delete(forge: Forge, model_id: int) -> Deleted:
    """Put a trained model's run into the trash, or forget a registered one. 409 while it trains."""
    if numbered.find_numbered(forge, model_id).kind == "registered":
        forget_registered(forge.workspace, model_id)
    else:
        move_to_trash(forge.workspace, _trained(forge, model_id)[1])
    return Deleted()


def listed(forge: Forge, model: NumberedModel) -> Model:
    """A model, trained or not, under ModelForge's names."""
    marks = {} if model.run is None else marks_of(forge, model.run)
    return Model(
        id=model.id,
        name=model.name,
        base_model=model.base_model,
        task=marks.get("task", _TASK),
        created_at=utc(model.created),
        size_mb=math.ceil(model.size_bytes / 1e6),
    )


def described(forge: Forge, model: NumberedModel) -> dict[str, object]:
    """What `Details` has, of a model that was trained or not."""
    run = model.run
    marks = {} if run is None else marks_of(forge, run)
    return {
        "id": model.id,
        "name": model.name,
        "base_model": model.base_model,
        "task": marks.get("task", _TASK),
        "provider": marks.get("provider"),
        "strategy": None if run is None else marks.get("strategy", _STRATEGY),
        "training_params": _parameters({} if run is None else run.spec),
        "metrics": Metrics(final_loss=None, perplexity=None) if run is None else _metrics(forge, run),
        "created_at": utc(model.created),
    }


def _trained(forge: Forge, number: int) -> tuple[NumberedModel, Run]:
    model = numbered.find_numbered(forge, number)
    if model.run is None:
        raise ModelNotFound(
            f"model {number} is {model.name}, which was not trained here",
            details={"model": number},
            suggestion="GET /api/models lists the trained ones.",
        )
    return model, model.run


def _parameters(spec: Mapping[str, object]) -> TrainingParameters:
    return TrainingParameters.model_validate(
        {
            "num_epochs": whole(spec.get("epochs")),
            "batch_size": spec.get("batch_size"),
            "learning_rate": spec.get("learning_rate"),
        }
    )


def _metrics(forge: Forge, run: Run) -> Metrics:
    known = runs.checkpoints(forge, run, verify=False)
    loss = known[0].validation_loss if known else None
    # What DPO measures is no loss per token.
    of_text = run.spec.get("objective") != "dpo"
    return Metrics(final_loss=loss, perplexity=perplexity(loss) if of_text else None)


ROUTES = (
    Route("GET", "/api/models", index),
    Route("GET", "/api/models/<number:model_id>", show),
    Route("DELETE", "/api/models/<number:model_id>", delete),
)
