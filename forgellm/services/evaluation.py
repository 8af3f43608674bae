"""Evaluating a model, or a checkpoint beside its base, on what is held out: a run of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from forgellm.domain.errors import InvalidField, MissingExtra
from forgellm.domain.runs import Run, RunKind
from forgellm.jobs import launcher
from forgellm.services.parts import Parts
from forgellm.services.publishing import chosen_checkpoint
from forgellm.services.training import versions
from forgellm.storage.datasets import find_dataset
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run

_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}")


def evaluate(
    parts: Parts,
    model_name: str,
    dataset: str | None,
    *,
    limit: int | None = None,
    max_tokens: int | None = None,
    tasks: Sequence[str] = (),
    task_folder: Path | None = None,
) -> Run:
    """Launch a run that asks `model_name` the held-out questions of `dataset`, the first `limit` of them, and
    lm-eval's `tasks`: those that it knows, and those in `task_folder`.

    An answer may have `max_tokens`, by default the length of the longest expected one and 8 more. Of a
    dataset of documents the loss alone is measured, without a dataset the tasks alone. Raises ModelNotFound,
    InvalidModel, DatasetNotFound, InvalidField, MissingExtra, RunConflict.
    """
    if dataset is None and not tasks:
        raise InvalidField(
            "dataset is missing",
            details={"field": "dataset"},
            suggestion="Name a dataset with held-out questions, or with documents; or tasks of lm-eval.",
        )
    wish = {"limit": limit, "max_tokens": max_tokens, **_tasks(tasks, task_folder)}
    return _launch(parts, model_name, dataset, **wish)


def evaluate_adapter(
    parts: Parts,
    source: Run,
    *,
    iteration: int | None = None,
    dataset: str | None = None,
    limit: int | None = None,
    max_tokens: int | None = None,
    tasks: Sequence[str] = (),
    task_folder: Path | None = None,
) -> Run:
    """Launch a run that evaluates a checkpoint of `source` and its base, side by side.

    The checkpoint is the best one unless `iteration` is given, the dataset the run's own unless there are
    tasks. Raises what `evaluate` raises, CheckpointNotFound, InvalidAdapter, and RunConflict where `source`
    trains nothing.
    """
    checkpoint = chosen_checkpoint(parts, source, iteration)
    own = None if tasks else str(source.spec["dataset"])
    wish = {"limit": limit, "max_tokens": max_tokens, **_tasks(tasks, task_folder)}
    adapter = {"run": source.id, "iteration": checkpoint.iteration}
    return _launch(parts, str(source.spec["model_name"]), dataset or own, **wish, **adapter)


def _tasks(names: Sequence[str], folder: Path | None) -> dict[str, object]:
    if not names:
        return {}
    for name in names:
        # lm-eval would take the path of a file for a task, and run the code that is named there.
        if not _TASK.fullmatch(name):
            raise InvalidField(
                f"{name!r:.200} is not the name of a task",
                details={"field": "tasks"},
                suggestion="Give names such as arc_easy; `lm-eval ls tasks` lists them.",
            )
    if find_spec("lm_eval") is None:
        raise MissingExtra(
            "tasks are asked with lm-eval, which is not installed",
            details={"extra": "lm-eval"},
            suggestion="Install it: pip install 'forgellm[lm-eval]'.",
        )
    place = {} if folder is None else {"task_folder": str(folder.resolve())}
    return {"tasks": list(names), **place}


def _launch(parts: Parts, model_name: str, dataset: str | None, **wish: object) -> Run:
    for field in ("limit", "max_tokens"):
        number = wish[field]
        if isinstance(number, int) and number < 1:
            raise InvalidField(
                f"{field} {number} is below 1",
                details={"field": field},
                suggestion="Leave it out to ask every question and to have room for the expected answers.",
            )
    base = find_model(parts.workspace, parts.hub_cache, model_name)
    if dataset is not None:
        find_dataset(parts.workspace, dataset)
    run = create_run(
        parts.workspace,
        RunKind.EVALUATE,
        spec={"model_name": model_name, "dataset": dataset}
        | {name: value for name, value in wish.items() if value is not None},
        name=None,
        created=parts.clock(),
        versions=versions(),
        base_fingerprint=fingerprint(base.path),
    )
    launcher.launch_new(parts.workspace, run, environment=parts.environment)
    return run
