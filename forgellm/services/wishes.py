"""A wish for a run, read as far as it makes sense: a form that is still being filled in has gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.domain.extent import sequence_length
from forgellm.domain.spec import DEFAULT_GENERAL_DATASET, TrainingSpec, check_values, with_implied
from forgellm.services import samples
from forgellm.services.beginnings import check_beginning, continuing
from forgellm.services.findings import Finding, refusal
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.models import ModelFolder, context_length, find_model

_GAPS: Mapping[str, object] = {"model_name": "", "training_type": "cpt", "dataset": ""}
Result = TypeVar("Result")


@dataclass(frozen=True)
class Wish:
    """`spec` has defaults for what is missing or wrong, and for one of two fields that contradict each other.

    `complete` says that nothing is missing or wrong. `base` is None where there is no such model;
    `has_data` says that its datasets are there.
    """

    spec: TrainingSpec | None
    complete: bool
    base: ModelFolder | None
    has_data: bool
    problems: list[Finding]


def read_wish(parts: Parts, values: Mapping[str, object]) -> Wish:
    """Whatever can be made of `values`, and why the rest cannot."""
    problems: list[Finding] = []
    begun = attempt(problems, lambda: continuing(parts, values), field="start_from")
    given = {name: v for name, v in values.items() if name != "start_from"} if begun is None else begun
    checked, wrong = check_values(given)
    problems += map(refusal, wrong)
    told = len(problems)
    spec = _agreeing(problems, {**_GAPS, **checked})
    if spec is None:
        return Wish(None, False, None, False, problems)
    complete = not wrong and begun is not None and len(problems) == told
    spec = _with_general(parts, spec, given)
    base = _base(parts, spec, problems) if spec.model_name else None
    return Wish(spec, complete, base, _has_data(parts, spec, problems), problems)


def _agreeing(problems: list[Finding], values: Mapping[str, object]) -> TrainingSpec | None:
    """The spec of `values` without those that contradict others: all else that is to be said stays known.

    None where a contradiction names none of them.
    """
    while True:
        try:
            return with_implied(TrainingSpec(**values))  # type: ignore[arg-type]
        except InvalidField as error:
            problems.append(refusal(error))
            blamed = (error.details.get(key) for key in ("field", "other"))
            wrong = next((name for name in blamed if name in values and name not in _GAPS), None)
        if wrong is None:
            return None
        values = {name: value for name, value in values.items() if name != wrong}


def attempt(
    problems: list[Finding], action: Callable[[], Result], *, field: str | None = None
) -> Result | None:
    """What `action` answers; None, and a problem more, where it is refused."""
    try:
        return action()
    except ForgeError as error:
        problems.append(refusal(error, field=field))
        return None


def _with_general(parts: Parts, spec: TrainingSpec, given: Mapping[str, object]) -> TrainingSpec:
    """As a start would have it: the sample's general data where none is named and there is none."""
    unnamed = given.get("general_dataset") in (None, "") and spec.general_dataset is not None
    if not unnamed or DEFAULT_GENERAL_DATASET in list_datasets(parts.workspace):
        return spec
    return replace(spec, general_dataset=samples.GENERAL)


def _base(parts: Parts, spec: TrainingSpec, problems: list[Finding]) -> ModelFolder | None:
    base = attempt(
        problems, lambda: find_model(parts.workspace, parts.hub_cache, spec.model_name), field="model_name"
    )
    if base is not None:
        attempt(problems, lambda: sequence_length(spec, context_length(base.config)))
        attempt(problems, lambda: check_beginning(parts, spec, base), field="start_from")
    return base


def _has_data(parts: Parts, spec: TrainingSpec, problems: list[Finding]) -> bool:
    named = [("dataset", spec.dataset)] if spec.dataset else []
    if spec.general_dataset not in (None, samples.GENERAL):
        named.append(("general_dataset", str(spec.general_dataset)))
    found = [attempt(problems, partial(find_dataset, parts.workspace, name), field=f) for f, name in named]
    return bool(spec.dataset) and all(found)
