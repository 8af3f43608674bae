"""Quantizing and exporting models: both begin a run, whose live events say how far it is."""

from __future__ import annotations

from pydantic import Field

from forgellm.api.routes import Answer, Body, Route
from forgellm.domain.exports import DEFAULT_GGUF_TYPE, GGUF_TYPES, ExportFormat
from forgellm.domain.quantization import BITS, DEFAULT_BITS, DEFAULT_GROUP_SIZE, GROUP_SIZES, RECIPES
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services import exporting, quantizing
from forgellm.storage.runs import find_run


def _known(*values: object) -> str:
    return f"one of {', '.join(map(str, values))}"


class Quantize(Body):
    model_name: str = Field(description="a name that GET /api/models/library lists")
    bits: int | None = Field(None, description=f"{_known(*BITS)}; {DEFAULT_BITS} without a recipe")
    recipe: str | None = Field(None, description=f"{_known(*RECIPES)}, instead of bits")
    group_size: int = Field(
        DEFAULT_GROUP_SIZE, description=f"weights that share a scale, {_known(*GROUP_SIZES)}"
    )
    dataset: str | None = Field(
        None, description="measured on before and after; what the model's own run held out if left out"
    )
    name: str | None = Field(None, description="of the result; that of the model and its bits if left out")


class Export(Body):
    model_name: str = Field(description="a name that GET /api/models/library lists")
    format: str = Field(description=_known(*(known.value for known in ExportFormat if known.is_of_models)))
    gguf_type: str | None = Field(
        None, description=f"for gguf and ollama, {_known(*GGUF_TYPES)}; {DEFAULT_GGUF_TYPE} if left out"
    )
    name: str | None = Field(None, description="of the folder; that of the model and the format if left out")


class ExportAdapter(Body):
    iteration: int | None = Field(None, ge=0, description="of the checkpoint; the best one if left out")
    name: str | None = Field(None, description="of the folder; that of the run if left out")


class Begun(Answer):
    message: str
    training_id: str = Field(description="the run that does it")
    name: str = Field(description="of the folder that it makes")


def quantize(forge: Forge, body: Quantize) -> Begun:
    """Begin to quantize a model into a published one; answers at once."""
    run = quantizing.quantize(
        forge,
        body.model_name,
        bits=body.bits,
        recipe=body.recipe,
        group_size=body.group_size,
        dataset=body.dataset,
        name=body.name,
    )
    return Begun(message="Quantizing has begun", training_id=run.id, name=str(run.spec["name"]))


def export(forge: Forge, body: Export) -> Begun:
    """Begin to export a model below models/exports; answers at once."""
    run = exporting.export_model(
        forge, body.model_name, format=body.format, gguf_type=body.gguf_type, name=body.name
    )
    return _exporting(run)


def export_adapter(forge: Forge, run_id: str, body: ExportAdapter) -> Begun:
    """Begin to export a checkpoint of a run for PEFT below models/exports; answers at once."""
    source = find_run(forge.workspace, run_id)
    return _exporting(exporting.export_adapter(forge, source, iteration=body.iteration, name=body.name))


def _exporting(run: Run) -> Begun:
    return Begun(message="The export has begun", training_id=run.id, name=str(run.spec["name"]))


ROUTES = (
    Route("POST", "/api/models/quantize", quantize),
    Route("POST", "/api/models/export", export),
    Route("POST", "/api/runs/<run_id>/export", export_adapter),
)
