"""Evaluations of models by number, told in the few figures that other systems know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.services import evaluation, instructions, publishing, runs
from forgellm.services.marks import mark, marked_number
from forgellm.services.numbered import NumberedModel, number_of
from forgellm.services.parts import Parts
from forgellm.services.repeats import under_way
from forgellm.storage.files import exclusive
from forgellm.storage.labels import read_label
from forgellm.storage.runs import list_runs, run_folder

_MODEL = "model"


@dataclass(frozen=True)
class Figures:
    """Each measured on held-out data, None where it was not; `bleu` and `rouge` from 0 to 1, `diversity` the
    share of different pairs of words, `length` in words of an answer."""

    perplexity: float | None
    bleu: float | None
    rouge: float | None
    diversity: float | None
    length: float | None


@dataclass(frozen=True)
class Evaluation:
    run: Run
    model: int
    name: str
    figures: Figures


def evaluate_numbered(
    parts: Parts, model: NumberedModel, *, name: str, wait: Callable[[], None]
) -> tuple[Evaluation, str]:
    """Evaluate on the newest dataset of instructions that holds some out, else on the sample one, and wait.

    Who asks again while the same evaluation goes on is answered with that one. The evaluation and the name of
    the dataset. Raises what evaluating raises.
    """
    dataset = instructions.newest(parts, held_out=True)
    with exclusive(parts.workspace.private / "evaluate.lock"):
        run = _same(parts, model, dataset, name=name) or _begun(parts, model, dataset, name=name)
    end = publishing.outcome(parts, run, wait=wait)
    return Evaluation(run, model.id, name, _figures(end)), dataset


def evaluations(parts: Parts) -> Iterator[Evaluation]:
    """Those that have come to an end, the newest first."""
    for run in reversed(list_runs(parts.workspace)):
        if run.kind is not RunKind.EVALUATE:
            continue
        found = runs.summary(parts, run)
        if found.state is RunState.COMPLETED and found.progress.end is not None:
            model = marked_number(parts, run, _MODEL) or number_of(str(run.spec.get("model_name")))
            label = read_label(run_folder(parts.workspace, run)).name
            yield Evaluation(run, model, label or run.id, _figures(found.progress.end))


def _begun(parts: Parts, model: NumberedModel, dataset: str, *, name: str) -> Run:
    if model.run is None:
        run = evaluation.evaluate(parts, model.asked_for, dataset)
    else:
        run = evaluation.evaluate_adapter(parts, model.run, dataset=dataset)
    mark(parts, run, {_MODEL: model.id}, name=name)
    return run


def _same(parts: Parts, model: NumberedModel, dataset: str, *, name: str) -> Run | None:
    """The evaluation of that name of that model, at the checkpoint that is its best one, under way."""
    wanted: dict[str, object] = {"dataset": dataset, "run": None, "limit": None}
    if model.run is not None:
        best = publishing.chosen_checkpoint(parts, model.run, None).iteration
        wanted |= {"run": model.run.id, "iteration": best}
    for run in under_way(parts, RunKind.EVALUATE, wanted):
        called = read_label(run_folder(parts.workspace, run)).name
        if called == name and marked_number(parts, run, _MODEL) == model.id:
            return run
    return None


def _figures(end: Mapping[str, object]) -> Figures:
    known = end.get("metrics")
    metrics: Mapping[str, object] = known if isinstance(known, Mapping) else {}
    bleu = _value(metrics, "bleu")
    return Figures(
        perplexity=_value(metrics, "perplexity"),
        bleu=None if bleu is None else bleu / 100,
        rouge=_value(metrics, "rouge_l"),
        diversity=_value(metrics, "distinct_2"),
        length=_value(metrics, "response_words"),
    )


def _value(metrics: Mapping[str, object], name: str) -> float | None:
    score = metrics.get(name)
    value = score.get("value") if isinstance(score, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None
