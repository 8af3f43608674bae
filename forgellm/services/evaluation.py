"""Evaluating a model on held-out questions: a run of its own."""

from __future__ import annotations

from forgellm.domain.runs import Run, RunKind
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.services.training import versions
from forgellm.storage.datasets import find_dataset
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run


def evaluate(parts: Parts, model_name: str, dataset: str) -> Run:
    """Launch a run that asks `model_name` the held-out questions of `dataset`.

    Raises ModelNotFound, InvalidModel, DatasetNotFound, RunConflict.
    """
    base = find_model(parts.workspace, parts.hub_cache, model_name)
    find_dataset(parts.workspace, dataset)
    run = create_run(
        parts.workspace,
        RunKind.EVALUATE,
        spec={"model_name": model_name, "dataset": dataset},
        name=None,
        created=parts.clock(),
        versions=versions(),
        base_fingerprint=fingerprint(base.path),
    )
    launcher.launch(parts.workspace, run, environment=parts.environment)
    return run
