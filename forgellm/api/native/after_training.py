"""What is done with a model once it is there: evaluating, quantizing, exporting.

Each answers at once with its run, whose live events are its steps.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forgellm.api.routes import Answer, Body, Route
from forgellm.domain.errors import InvalidField
from forgellm.domain.exports import ExportFormat
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services import evaluation, exporting, quantizing
from forgellm.storage.liveness import state
from forgellm.storage.runs import find_run, run_folder


class OfModelOrRun(Body):
    model_name: str | None = Field(None, description="a model; or `run`")
    run: str | None = Field(None, description="id, number or folder of a training run; or `model_name`")
    iteration: int | None = Field(None, ge=0, description="checkpoint of `run`; the best one if left out")


class Evaluate(OfModelOrRun):
    dataset: str | None = Field(None, description="that of `run` if left out")
    limit: int | None = Field(None, ge=1, description="the first so many questions")
    max_tokens: int | None = Field(
        None, ge=1, le=100_000, description="room for an answer; the longest expected one and 8 if left out"
    )
    tasks: list[str] | None = Field(
        None, min_length=1, max_length=100, description="tasks of lm-eval; these alone if no dataset is named"
    )


class Quantize(Body):
    model_name: str
    bits: Literal[2, 3, 4, 6, 8] | None = Field(None, description="4, unless there is a recipe")
    recipe: Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"] | None = Field(None)
    group_size: Literal[32, 64, 128] = Field(64, description="weights that share a scale")
    dataset: str | None = Field(None, description="measured on; the validation set of its run if left out")
    name: str | None = Field(None, description="folder below models/published/")


class Export(OfModelOrRun):
    format: Literal["safetensors", "zip", "ollama", "gguf", "peft"] = Field("gguf")
    gguf_type: Literal["f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"] | None = Field(None)
    name: str | None = Field(None, description="folder below models/exports/")


class RunStarted(Answer):
    message: str
    run_id: str
    run_number: int
    state: str
    folder: str


def evaluate(forge: Forge, body: Evaluate) -> RunStarted:
    """Measure a model on held-out questions, text or tasks of lm-eval, or a checkpoint beside its base."""
    model = _model(body, "evaluate")
    limit, room, tasks = body.limit, body.max_tokens, body.tasks or ()
    if model is not None:
        started = evaluation.evaluate(forge, model, body.dataset, limit=limit, max_tokens=room, tasks=tasks)
        return run_started(forge, started)
    source = find_run(forge.workspace, str(body.run))
    started = evaluation.evaluate_adapter(
        forge,
        source,
        iteration=body.iteration,
        dataset=body.dataset,
        limit=limit,
        max_tokens=room,
        tasks=tasks,
    )
    return run_started(forge, started)


def quantize(forge: Forge, body: Quantize) -> RunStarted:
    """Make a copy of a model in fewer bits, with its validation loss before and after."""
    wish = body.model_dump()
    return run_started(forge, quantizing.quantize(forge, wish.pop("model_name"), **wish))


def export(forge: Forge, body: Export) -> RunStarted:
    """Make what other programs read of a model, or, as peft, of a checkpoint."""
    model = _model(body, "export")
    if model is not None:
        wish = {"format": body.format, "gguf_type": body.gguf_type, "name": body.name}
        return run_started(forge, exporting.export_model(forge, model, **wish))  # type: ignore[arg-type]
    if body.format != ExportFormat.PEFT.value:
        raise _missing("model_name", "Publish the checkpoint first, or choose peft.")
    source = find_run(forge.workspace, str(body.run))
    return run_started(
        forge, exporting.export_adapter(forge, source, iteration=body.iteration, name=body.name)
    )


def _model(body: OfModelOrRun, what: str) -> str | None:
    """The model that is named, None where it is a run. Raises InvalidField unless it is one of them."""
    if (body.model_name is None) == (body.run is None):
        raise _missing("model_name", f"Name what to {what}: either model_name or run.")
    if body.run is None and body.iteration is not None:
        raise _missing("run", "iteration is that of a run: name it instead of model_name.")
    return body.model_name


def _missing(field: str, way_out: str) -> InvalidField:
    return InvalidField(f"{field} is missing", details={"field": field}, suggestion=way_out)


def run_started(forge: Forge, run: Run) -> RunStarted:
    """What is answered for a run that has just been launched."""
    now = state(run_folder(forge.workspace, run))
    return RunStarted(
        message=f"{run.kind.value.capitalize()} run {run.id} is {now.value}",
        run_id=run.id,
        run_number=run.number,
        state=now.value,
        folder=run.folder,
    )


ROUTES = (
    Route("POST", "/api/evaluate", evaluate),
    Route("POST", "/api/quantize", quantize),
    Route("POST", "/api/export", export),
)
