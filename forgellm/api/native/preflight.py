"""What a run will be, and what will go wrong with it, before it is started."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from forgellm.api.routes import Answer, Body, Route
from forgellm.domain.spec import to_dict
from forgellm.forge import Forge
from forgellm.services import preflight as service
from forgellm.services.findings import Level
from forgellm.services.memory import Fit, fit
from forgellm.services.preflight import Plan, Preflight


class Planned(Body):
    spec: dict[str, Any] = Field(
        description="the fields of POST /api/training/start, as far as they are chosen"
    )
    queue: bool = Field(False, description="whether it may wait for the run that trains")


class FindingItem(BaseModel):
    """What is wrong or unusual. A problem keeps the run from starting or will end it, a warning may."""

    level: Level
    code: str
    message: str
    suggestion: str
    field: str | None = Field(description="the field to change")


class RatePoint(BaseModel):
    iteration: int = Field(description="the first update is number 0")
    learning_rate: float


class DataItem(BaseModel):
    sequences: int
    tokens: int
    tokens_per_sequence: float
    longest_sequence: int
    exact: bool = Field(description="counted by an earlier run on the same data, or reckoned from sizes")
    basis: str


class CheckpointPlan(BaseModel):
    """Bytes. `total_bytes` are those that lie there at most, with the states to resume from."""

    written: int
    kept: int
    size_bytes: int
    total_bytes: int


class WayItem(BaseModel):
    """Fields to change so that the run fits into memory, and the bytes at its peak with them."""

    changes: dict[str, Any]
    total: int


class MemoryPlan(BaseModel):
    """Bytes at the peak of a training step, and what this machine has."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    validation: int = Field(description="what a validation takes beyond a step, where it takes more")
    total: int
    limit: int
    available: int = Field(description="free at this moment")
    fit: Fit
    note: str = Field(description="why the limit is what it is")
    ways: list[WayItem] = Field(description="where it does not fit: what would make it, the mildest first")


class TimePlan(BaseModel):
    seconds: float
    tokens_per_second: float
    basis: str = Field(description="the run that it was reckoned from")


class PreflightAnswer(Answer):
    """Whatever is null has its reason in `unknown`, under its own name."""

    can_start: bool = Field(description="whether there is no problem among the findings")
    findings: list[FindingItem]
    spec: dict[str, Any] | None = Field(description="all fields as the run would have them")
    changed: list[str] = Field(description="the fields that are not at their defaults")
    iterations: int | None
    epochs: float | None = Field(description="passes over the training data")
    trained_tokens: int | None
    learning_rate: list[RatePoint] | None
    data: DataItem | None
    learnable_parameters: int | None
    checkpoints: CheckpointPlan | None
    memory: MemoryPlan | None
    time: TimePlan | None
    command: str | None = Field(description="the `forgellm train` that starts the same run")
    yaml: str | None = Field(description="for `forgellm train --config`")
    unknown: dict[str, str]


def preflight(forge: Forge, body: Planned) -> PreflightAnswer:
    """What the run will be: length, learning rate, memory, time, disk; and what will go wrong with it."""
    found = service.preflight(forge, body.spec, queue=body.queue)
    plan = found.plan
    return PreflightAnswer(
        can_start=found.can_start,
        findings=[FindingItem.model_validate(vars(finding)) for finding in found.findings],
        spec=None if found.spec is None else to_dict(found.spec),
        changed=found.changed,
        iterations=plan.course and plan.course.iterations,
        epochs=plan.course and plan.course.epochs,
        trained_tokens=plan.course and plan.course.trained_tokens,
        learning_rate=_rates(found),
        data=_data(plan),
        learnable_parameters=plan.learns and plan.learns.parameters,
        checkpoints=plan.checkpoints and CheckpointPlan.model_validate(vars(plan.checkpoints)),
        memory=_memory(found),
        time=plan.duration and TimePlan.model_validate(vars(plan.duration)),
        command=found.command,
        yaml=found.yaml,
        unknown=dict(found.unknown),
    )


def _rates(found: Preflight) -> list[RatePoint] | None:
    if found.learning_rate is None:
        return None
    return [RatePoint(iteration=step, learning_rate=rate) for step, rate in found.learning_rate]


def _data(plan: Plan) -> DataItem | None:
    if plan.data is None:
        return None
    return DataItem(
        sequences=plan.data.sequences,
        tokens=plan.data.tokens,
        tokens_per_sequence=plan.data.tokens_per_sequence,
        longest_sequence=plan.data.longest,
        exact=plan.data.exact,
        basis=plan.data.basis,
    )


def _memory(found: Preflight) -> MemoryPlan | None:
    needed, machine = found.plan.memory, found.machine
    if needed is None:
        return None
    return MemoryPlan(
        **vars(needed),
        total=needed.total,
        limit=machine.limit,
        available=machine.available,
        fit=fit(needed.total, machine.limit),
        note=machine.note,
        ways=[WayItem(changes=dict(way.changes), total=way.total) for way in found.plan.ways],
    )


ROUTES = (Route("POST", "/api/training/preflight", preflight),)
