"""Runs side by side, what their checkpoints answered, and what people write on them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from forgellm.api.native.checkpoints import CheckpointItem, checkpoint_item
from forgellm.api.routes import Answer, Body, Query, Quotation, Route
from forgellm.domain.errors import InvalidField
from forgellm.domain.metrics import GapBand, VariationBand, perplexity_of
from forgellm.forge import Forge
from forgellm.services import answers, comparison, labels
from forgellm.services.comparison import Compared
from forgellm.storage.labels import read_label
from forgellm.storage.runs import find_run, run_folder

MOST_RUNS = 10


class Several(Query):
    ids: str = Field(
        max_length=2000, description=f"ids or numbers of 1 to {MOST_RUNS} training runs, by commas"
    )
    points: int = Field(600, ge=10, le=5000, description="of each curve at most; peaks stay")


class CurvePoint(BaseModel):
    iteration: int
    value: float


class ComparedRun(BaseModel):
    """Losses in nats per token."""

    id: str
    number: int
    kind: str
    state: str
    name: str
    model_name: str | None
    dataset: str | None
    curves: dict[str, list[CurvePoint]] = Field(
        description="training_loss, validation_loss, general_validation_loss, perplexity, learning_rate, "
        "tokens_per_second"
    )
    variation: float | None = Field(description="coefficient of variation of the last 50 training losses")
    variation_band: VariationBand | None
    generalization_gap: float | None = Field(description="validation loss minus training loss before it")
    generalization_band: GapBand | None
    initial_validation_loss: float | None
    best_validation_loss: float | None
    best_perplexity: float | None
    best_checkpoints: list[CheckpointItem]
    tokens_per_second: float | None
    peak_memory_gb: float | None
    trained_tokens: int | None
    training_seconds: float | None


class Difference(BaseModel):
    field: str
    values: list[Any] = Field(description="of each run, in their order")


class RankedRun(BaseModel):
    id: str
    rank: int
    iteration: int
    validation_loss: float
    tied_with_best: bool = Field(description="within one standard error of the best")


class RunsCompared(Answer):
    runs: list[ComparedRun]
    differences: list[Difference]
    warnings: list[str]
    ranking: list[RankedRun] | None = Field(description="null where the validation sets are not the same")


class SampleItem(BaseModel):
    iteration: int
    text: str
    finished: bool = Field(description="false where the answer was cut off at its longest")
    seq: int


class SampledPrompt(BaseModel):
    prompt: str
    answers: list[SampleItem]


class Samples(Answer, Quotation):
    training_id: str
    prompts: list[SampledPrompt]


class LabelBody(Body):
    name: str | None = Field(
        None, max_length=labels.NAME, description="shown in place of the id; empty for none"
    )
    notes: str | None = Field(None, max_length=labels.NOTES)
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=labels.TAG)]] | None = Field(
        None, max_length=labels.TAGS
    )


class Labelled(Answer):
    training_id: str
    name: str
    notes: str
    tags: list[str]


def compare(forge: Forge, query: Several) -> RunsCompared:
    """Curves, steadiness, generalization, best checkpoints and differences of several training runs."""
    named = (find_run(forge.workspace, key) for key in _keys(query.ids))
    chosen = list({run.id: run for run in named}.values())
    not_trained = next((run.id for run in chosen if not run.kind.trains), None)
    if not_trained is not None:
        raise _bad_ids(f"run {not_trained} did not train anything")
    found = comparison.compare(forge, chosen, points=query.points)
    places = found.ranking
    return RunsCompared(
        runs=[_compared(forge, one) for one in found.runs],
        differences=[Difference(field=name, values=each) for name, each in found.differences.items()],
        warnings=found.warnings,
        ranking=None
        if places is None
        else [
            RankedRun(
                id=place.run,
                rank=n,
                iteration=place.iteration,
                validation_loss=place.validation_loss,
                tied_with_best=place.tied,
            )
            for n, place in enumerate(places, 1)
        ],
    )


def samples(forge: Forge, run_id: str) -> Samples:
    """What the checkpoints of a run answered to its sample prompts."""
    run = find_run(forge.workspace, run_id)
    return Samples(
        training_id=run.id,
        prompts=[
            SampledPrompt(
                prompt=one.prompt, answers=[SampleItem.model_validate(vars(answer)) for answer in one.answers]
            )
            for one in answers.sampled(forge, run)
        ],
    )


def label(forge: Forge, run_id: str, body: LabelBody) -> Labelled:
    """Name a run, note something on it, tag it; what is left out stays."""
    run = find_run(forge.workspace, run_id)
    written = labels.change_label(forge, run, name=body.name, notes=body.notes, tags=body.tags)
    return Labelled(training_id=run.id, name=written.name, notes=written.notes, tags=list(written.tags))


def _compared(forge: Forge, one: Compared) -> ComparedRun:
    best = one.best[0].validation_loss if one.best else None
    model, dataset = one.run.spec.get("model_name"), one.run.spec.get("dataset")
    return ComparedRun(
        id=one.run.id,
        number=one.run.number,
        kind=one.run.kind.value,
        state=one.state.value,
        name=read_label(run_folder(forge.workspace, one.run)).name,
        model_name=model if isinstance(model, str) else None,
        dataset=dataset if isinstance(dataset, str) else None,
        curves={
            key: [CurvePoint(iteration=i, value=v) for i, v in curve] for key, curve in one.curves.items()
        },
        variation=one.variation,
        variation_band=one.variation_band,
        generalization_gap=one.gap,
        generalization_band=one.gap_band,
        initial_validation_loss=one.initial_validation_loss,
        best_validation_loss=best,
        best_perplexity=perplexity_of(one.run.spec, best),
        best_checkpoints=[checkpoint_item(c) for c in one.best],
        tokens_per_second=one.tokens_per_second,
        peak_memory_gb=one.peak_memory_gb,
        trained_tokens=one.trained_tokens,
        training_seconds=one.training_seconds,
    )


def _keys(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not 1 <= len(keys) <= MOST_RUNS:
        raise _bad_ids(f"ids names {len(keys)} runs")
    return keys


def _bad_ids(message: str) -> InvalidField:
    return InvalidField(
        message,
        details={"field": "ids"},
        suggestion=f"Give the ids of 1 to {MOST_RUNS} training runs; GET /api/runs?kind=cpt lists them.",
    )


ROUTES = (
    Route("GET", "/api/runs/compare", compare),
    Route("GET", "/api/runs/<run_id>/samples", samples),
    Route("PATCH", "/api/runs/<run_id>", label),
)
