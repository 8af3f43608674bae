"""Where the weights of a run begin: at the adapter that `start_from` names, in the form that it has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from forgellm.domain.errors import InvalidAdapter, InvalidPath, RunNotFound
from forgellm.domain.spec import TrainingSpec
from forgellm.services.parts import Parts
from forgellm.services.resident import of_run
from forgellm.storage.adapters import absence, adapter_files, check_continues, read_config, values_of
from forgellm.storage.checkpoints import check_intact
from forgellm.storage.models import ModelFolder, fingerprint
from forgellm.storage.runs import read_run
from forgellm.storage.weights import file_problem

_AT_ITERATION = re.compile(r"(.+)@(\d{1,9})")


def continuing(parts: Parts, values: Mapping[str, object]) -> Mapping[str, object]:
    """The wish with its adapter as a path, and with that adapter's form and base where it says nothing else.

    A run means its best checkpoint as it is now, so that what a run began with stays known.
    Raises InvalidAdapter, InvalidPath, RunNotFound, CheckpointNotFound.
    """
    text = values.get("start_from")
    if not isinstance(text, str) or not text:
        return values
    named = _checkpoint(parts, text) or text
    path = parts.workspace.resolve(named)
    absent = absence(path)
    if absent is not None:
        raise InvalidAdapter(
            f"start_from {text!r} {absent}",
            details={"field": "start_from", "searched_paths": [str(path)]},
            suggestion="Give a training run, run@iteration, or the path of an adapter.",
        )
    folder, _ = adapter_files(path)
    form = values_of(read_config(folder))
    given = {name: value for name, value in values.items() if name != "model_name" or value not in (None, "")}
    source = read_run(folder)
    base = {} if source is None else {"model_name": source.spec.get("model_name")}
    return {**base, **form, **given, "start_from": named}


def check_beginning(parts: Parts, spec: TrainingSpec, base: ModelFolder) -> None:
    """That the adapter a spec starts from is whole, of the form it trains, and of this base.

    Raises InvalidAdapter, InvalidPath.
    """
    if spec.start_from is None:
        return
    folder, weights = adapter_files(parts.workspace.resolve(spec.start_from))
    check_continues(folder, spec)
    problem = file_problem(weights)
    if problem is not None:
        raise InvalidAdapter(
            f"the adapter in {folder.name} is damaged: {problem}",
            details={"field": "start_from", "problem": problem},
            suggestion="Choose another checkpoint of the run.",
        )
    check_intact(weights)
    source = read_run(folder)
    if source is not None and source.base_fingerprint not in (None, fingerprint(base.path)):
        trained_on = source.spec.get("model_name")
        raise InvalidAdapter(
            f"the adapter in {folder.name} was trained on {trained_on}, not on {base.name}",
            details={"field": "start_from", "adapter": trained_on, "spec": base.name},
            suggestion="Give that model as model_name, or publish the adapter and train on what it became.",
        )


def _checkpoint(parts: Parts, text: str) -> str | None:
    """The path of the checkpoint that `run` or `run@iteration` means; None where it is no run."""
    at = _AT_ITERATION.fullmatch(text)
    key, iteration = (at[1], int(at[2])) if at else (text, None)
    try:
        return of_run(parts, key, iteration).adapter_path
    except InvalidPath:
        return None
    except RunNotFound:
        if at or not ("/" in text or parts.workspace.resolve(text).exists()):
            raise
        return None
