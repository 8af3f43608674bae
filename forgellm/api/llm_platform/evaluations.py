"""Evaluations as LLM Platform documents them. Each is a run; ROUGE is ROUGE-L, BLEU goes from 0 to 1 here."""

from __future__ import annotations

from pydantic import BaseModel, Field

from forgellm.api.llm_platform.wording import naive
from forgellm.api.routes import Body, Reply, Route
from forgellm.api.waiting import between_looks
from forgellm.forge import Forge
from forgellm.services import evaluations
from forgellm.services.numbered import find_numbered


class Metrics(BaseModel):
    perplexity: float | None
    bleu_score: float | None
    rouge_score: float | None
    response_diversity: float | None = Field(description="share of different pairs of words in all answers")
    avg_response_length: float | None = Field(description="in words")


class Evaluation(Metrics):
    id: int
    model_id: int
    eval_name: str
    created_at: str


class Evaluations(Reply):
    evaluations: list[Evaluation]


class Wish(Body):
    eval_name: str = Field("Evaluation", min_length=1, max_length=100)


class Evaluated(Reply):
    id: int
    model_id: int
    eval_name: str
    metrics: Metrics
    message: str


def index(forge: Forge) -> Evaluations:
    """Those that have come to an end, the newest first."""
    return Evaluations(evaluations=[_listed(found) for found in evaluations.evaluations(forge)])


def evaluate(forge: Forge, model_id: int, body: Wish) -> Evaluated:
    """Measure a model on the newest dataset that holds some examples out; answers once that is done."""
    model = find_numbered(forge, model_id)
    found, dataset = evaluations.evaluate_numbered(forge, model, name=body.eval_name, wait=between_looks())
    return Evaluated(
        id=found.run.number,
        model_id=model.id,
        eval_name=body.eval_name,
        metrics=_metrics(found.figures),
        message=f"Evaluation completed successfully on dataset {dataset}",
    )


def _listed(found: evaluations.Evaluation) -> Evaluation:
    return Evaluation(
        id=found.run.number,
        model_id=found.model,
        eval_name=found.name,
        created_at=naive(found.run.created),
        **_metrics(found.figures).model_dump(),
    )


def _metrics(figures: evaluations.Figures) -> Metrics:
    return Metrics(
        perplexity=figures.perplexity,
        bleu_score=figures.bleu,
        rouge_score=figures.rouge,
        response_diversity=figures.diversity,
        avg_response_length=figures.length,
    )


ROUTES = (
    Route("GET", "/api/evaluations", index),
    Route("POST", "/api/models/<number:model_id>/evaluate", evaluate),
)
