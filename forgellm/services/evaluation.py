"""Evaluating a model, or a checkpoint beside its base, on what is held out: a run of its own."""

from __future__ import annotations

from forgellm.domain.errors import InvalidField
from forgellm.domain.runs import Run, RunKind
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.services.publishing import chosen_checkpoint
from forgellm.services.training import versions
from forgellm.storage.datasets import find_dataset
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run


def evaluate(parts: Parts, model_name: str, dataset: str, *, limit: int | None = None) -> Run:
    """Launch a run that asks `model_name` the held-out questions of `dataset`, the first `limit` of them.

    Of a dataset of documents the loss alone is measured. Raises ModelNotFound, InvalidModel,
    DatasetNotFound, InvalidField, RunConflict.
    """
    return _launch(parts, model_name, dataset, limit=limit)


def evaluate_adapter(
    parts: Parts,
    source: Run,
    *,
    iteration: int | None = None,
    dataset: str | None = None,
    limit: int | None = None,
) -> Run:
    """Launch a run that evaluates a checkpoint of `source` and its base, side by side.

    The checkpoint is the best one unless `iteration` is given, the dataset the run's own. Raises what
    `evaluate` raises, CheckpointNotFound, InvalidAdapter, and RunConflict where `source` trains nothing.
    """
    checkpoint = chosen_checkpoint(parts, source, iteration)
    return _launch(
        parts,
        str(source.spec["model_name"]),
        dataset or str(source.spec["dataset"]),
        limit=limit,
        run=source.id,
        iteration=checkpoint.iteration,
    )


def _launch(parts: Parts, model_name: str, dataset: str, *, limit: int | None, **adapter: object) -> Run:
    if limit is not None and limit < 1:
        raise InvalidField(
            f"limit {limit} is below 1",
            details={"field": "limit"},
            suggestion="Leave it out to ask every question.",
        )
    base = find_model(parts.workspace, parts.hub_cache, model_name)
    find_dataset(parts.workspace, dataset)
    spec = {"model_name": model_name, "dataset": dataset, **adapter}
    run = create_run(
        parts.workspace,
        RunKind.EVALUATE,
        spec=spec if limit is None else {**spec, "limit": limit},
        name=None,
        created=parts.clock(),
        versions=versions(),
        base_fingerprint=fingerprint(base.path),
    )
    launcher.launch(parts.workspace, run, environment=parts.environment)
    return run
