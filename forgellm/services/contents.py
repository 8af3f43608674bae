"""What is in the rows and documents of a dataset. Looking is done by the inspection process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forgellm.data.lengths import Passes, passes
from forgellm.data.problems import Problem
from forgellm.domain.spec import TrainingSpec, parse_spec, to_dict
from forgellm.jobs.inspector import InspectionBusy, InspectionTimeout, OnProgress
from forgellm.services.inspection import Going
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset

_SECONDS = 60.0
_PREVIEW_SECONDS = 30.0
_REPORT_SECONDS = 900.0
# An upload is answered meanwhile: beyond it, what has not been counted is not told.
_SECONDS_AT_ONCE = 30.0
# Of a spec, what a check of its dataset depends on, and what no spec is without.
_DECISIVE = ("model_name", "training_type", "dataset", "batch_size", "validation_fraction", "seed")


@dataclass(frozen=True)
class Checked:
    """Rows (and documents), those that can be trained on, and what is wrong with the others."""

    rows: int
    usable: int
    problem_count: int
    problems: list[str]

    @property
    def valid(self) -> bool:
        """Whether every row can be trained on, and there is one."""
        return self.usable > 0 and self.problem_count == 0


@dataclass(frozen=True)
class Table:
    """The columns of a file of rows, how often each is empty (None where not counted), the first rows."""

    columns: list[str]
    null_counts: dict[str, int | None]
    first_rows: list[dict[str, Any]]


@dataclass(frozen=True)
class ReportState:
    """`report` is there once it is made; until then `going` says how far, None where nobody makes it."""

    report: dict[str, Any] | None
    going: Going | None


def describe(parts: Parts, name: str) -> dict[str, Any]:
    """The files of a dataset with the shape that each is recognised as, and why."""
    return parts.inspections.recall(about(parts, name, "describe"), seconds=_SECONDS)


def rows(
    parts: Parts, name: str, *, file: str | None, offset: int, limit: int, problems: bool
) -> dict[str, Any]:
    """Some rows of one file, or documents, as they are and as what they are taken for."""
    page = {"file": file, "offset": offset, "limit": limit, "problems": problems}
    return parts.inspections.ask(about(parts, name, "rows", **page), seconds=_SECONDS)


def preview(parts: Parts, name: str, *, model: str, page: Mapping[str, object]) -> dict[str, Any]:
    """Some rows as the model's chat template renders them, token by token, with what is learned."""
    return parts.inspections.ask(about(parts, name, "preview", model=model, **page), seconds=_PREVIEW_SECONDS)


def report(
    parts: Parts,
    name: str,
    *,
    model: str | None,
    max_seq_length: int | None,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """The report of a dataset, waiting for it."""
    question = _report(parts, name, model=model, max_seq_length=max_seq_length)
    return parts.inspections.recall(question, seconds=_REPORT_SECONDS, on_progress=on_progress)


def begin_report(parts: Parts, name: str, *, model: str | None, max_seq_length: int | None) -> ReportState:
    """Have the report made in the background, unless it is there."""
    question = _report(parts, name, model=model, max_seq_length=max_seq_length)
    if parts.inspections.known(question) is None:
        parts.inspections.begin(question)
    return report_state(parts, name, model=model, max_seq_length=max_seq_length)


def cancel_report(parts: Parts, name: str, *, model: str | None, max_seq_length: int | None) -> bool:
    """End the making of the report; whether it was being made. What is known already stays."""
    return parts.inspections.cancel(_report(parts, name, model=model, max_seq_length=max_seq_length))


def report_state(parts: Parts, name: str, *, model: str | None, max_seq_length: int | None) -> ReportState:
    """The report, or how far it is."""
    question = _report(parts, name, model=model, max_seq_length=max_seq_length)
    # In this order: what is not going on any more is known by then.
    going = parts.inspections.going(question)
    return ReportState(parts.inspections.known(question), going)


def epochs(report: Mapping[str, Any], wish: Mapping[str, object]) -> Passes | None:
    """How often a run with the fields in `wish` (`max_iterations`, `batch_size` …) passes over what there is.

    Without a `training_type` that of which the dataset has more sequences. None where the report counted no
    tokens, or nothing can be trained on. Raises InvalidField.
    """
    counted = report["trained_on"]
    if counted is None:
        return None
    more_examples = counted["example_sequences"] >= counted["document_sequences"]
    kind = wish.get("training_type") or ("ift" if more_examples else "cpt")
    given = {name: value for name, value in wish.items() if value is not None}
    spec = parse_spec(
        {**given, "model_name": report["model"], "dataset": report["dataset"], "training_type": kind}
    )
    sequences = counted["example_sequences" if kind == "ift" else "document_sequences"]
    if not any(file["part"] == "valid" for file in report["files"]):
        sequences = math.floor(sequences * (1 - spec.validation_fraction))
    return passes(spec, sequences) if sequences else None


def counted(parts: Parts, name: str) -> int | None:
    """How many usable rows and documents the dataset has, if its report is known."""
    known = parts.inspections.known(_report(parts, name))
    usable = known.get("usable") if known else None
    return usable if isinstance(usable, int) else None


def checked_at_once(parts: Parts, name: str) -> Checked | None:
    """What its report says in short; None where making it takes too long to be waited for."""
    try:
        found = parts.inspections.recall(_report(parts, name), seconds=_SECONDS_AT_ONCE)
    except (InspectionTimeout, InspectionBusy):
        return None
    problems = [_line(problem) for problem in found["problems"]]
    return Checked(found["rows"], found["usable"], found["problem_count"], problems)


def table(parts: Parts, name: str, file: str) -> Table:
    """The columns of a file of rows; nothing but the first rows where counting takes too long."""
    for whole in (True, False):
        question = about(parts, name, "table", file=file, whole=whole)
        try:
            return Table(**parts.inspections.ask(question, seconds=_SECONDS_AT_ONCE))
        except InspectionTimeout:
            continue
    return Table([], {}, [])


def start_problems(parts: Parts, name: str, spec: TrainingSpec) -> list[Problem]:
    """What keeps a run with that spec from being trained on the dataset; known at once the second time."""
    wish = {field: value for field, value in to_dict(spec).items() if field in _DECISIVE}
    found = parts.inspections.recall(about(parts, name, "startable", spec=wish), seconds=_REPORT_SECONDS)
    return [Problem(**problem) for problem in found["problems"]]


def _report(
    parts: Parts, name: str, *, model: str | None = None, max_seq_length: int | None = None
) -> dict[str, object]:
    return about(parts, name, "report", model=model, max_seq_length=max_seq_length)


def about(parts: Parts, dataset: str, ask: str, /, **more: object) -> dict[str, object]:
    """The question `ask` about a dataset. Raises DatasetNotFound, InvalidPath."""
    folder = find_dataset(parts.workspace, dataset)
    name = folder.relative_to(parts.workspace.datasets.resolve()).as_posix()
    return {"ask": ask, "dataset": name, **more}


def _line(problem: Mapping[str, object]) -> str:
    line = problem["line"]
    place = problem["file"] if line is None else f"{problem['file']}, line {line}"
    return f"{place}: {problem['reason']}"
