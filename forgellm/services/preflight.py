"""What a training run will be and what will go wrong with it, said before it is started. Nothing is loaded.

Each part is worked out as far as the others allow: where the dataset is missing, memory is still known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from forgellm.domain.checkpoints import kept_at_most
from forgellm.domain.extent import sequence_length
from forgellm.domain.form import changed_fields
from forgellm.domain.schedule import drawn, schedule_of
from forgellm.domain.spec import TrainingSpec, to_dict
from forgellm.services import findings
from forgellm.services.expected_data import Course, ExpectedData, course, expected_data
from forgellm.services.findings import Finding
from forgellm.services.fitting import Way, ways_to_fit
from forgellm.services.learnable import Learnable, learnable
from forgellm.services.memory import Machine, MemoryEstimate, estimate, machine, optimizer_bytes, usable
from forgellm.services.pace import Duration, duration
from forgellm.services.parts import Parts
from forgellm.services.space import BYTES_OF_A_TOKEN
from forgellm.services.spec_text import command_line, to_yaml
from forgellm.services.wishes import Wish, attempt, read_wish
from forgellm.storage.models import ModelFolder, context_length

CURVE_POINTS = 200


@dataclass(frozen=True)
class Checkpoints:
    """How many are written and how many of them stay; the bytes of one, and of all there is at most: the kept
    ones and two states to resume from."""

    written: int
    kept: int
    size_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Plan:
    """Whatever is None is not known. `ways` are changes that make it fit into memory where it would not;
    `memory_unknown` says why its peak is None."""

    data: ExpectedData | None = None
    course: Course | None = None
    learns: Learnable | None = None
    checkpoints: Checkpoints | None = None
    memory: MemoryEstimate | None = None
    memory_unknown: str | None = None
    ways: tuple[Way, ...] = ()
    duration: Duration | None = None


@dataclass(frozen=True)
class Preflight:
    """`spec` is None where fields contradict each other. `learning_rate` is (update, rate) at CURVE_POINTS
    updates at most; `command` and `yaml` start the same run. `unknown` says why something is not known.
    """

    spec: TrainingSpec | None
    findings: list[Finding]
    plan: Plan
    unknown: Mapping[str, str]
    changed: list[str]
    learning_rate: list[tuple[int, float]] | None
    machine: Machine
    command: str | None
    yaml: str | None

    @property
    def can_start(self) -> bool:
        return not any(finding.level == "problem" for finding in self.findings)


def preflight(parts: Parts, values: Mapping[str, object], *, queue: bool) -> Preflight:
    """Everything that can be said about the wish `values` while somebody waits for it."""
    wish, known = read_wish(parts, values), machine()
    found = list(wish.problems)
    plan = Plan() if wish.spec is None else _plan(parts, wish, wish.spec, found=found, known=known)
    found += _judged(parts, wish, plan, known=known, queue=queue)
    spec, length = wish.spec, plan.course
    return Preflight(
        spec=spec,
        # What is refused is asked for by several parts of the plan.
        findings=list(dict.fromkeys(found)),
        plan=plan,
        unknown=dict(_reasons(wish, plan)),
        changed=[] if spec is None else changed_fields(spec),
        learning_rate=None
        if spec is None or length is None
        else drawn(schedule_of(spec, length.iterations), points=CURVE_POINTS),
        machine=known,
        command=command_line(spec) if spec is not None and wish.complete else None,
        yaml=to_yaml(to_dict(spec)) if spec is not None and wish.complete else None,
    )


def _plan(parts: Parts, wish: Wish, spec: TrainingSpec, *, found: list[Finding], known: Machine) -> Plan:
    base = wish.base
    data = None
    if base is not None and wish.has_data:
        data = attempt(found, lambda: expected_data(parts, spec, base))
    length = attempt(found, lambda: course(spec, data), field="epochs")
    if base is None:
        return Plan(data=data, course=length)
    learns = learnable(base, spec)
    plan = Plan(data=data, course=length, learns=learns)
    plan = _with_memory(plan, spec, base, known=known)
    if length is None:
        return plan
    plan = replace(plan, checkpoints=_checkpoints(spec, learns, length))
    return (
        plan
        if data is None
        else replace(plan, duration=duration(parts, spec, base, data=data, length=length))
    )


def _with_memory(plan: Plan, spec: TrainingSpec, base: ModelFolder, *, known: Machine) -> Plan:
    """The plan with the peak of a step and, where that is more than there is, what would make it fit."""
    found: list[Finding] = []
    length = attempt(found, lambda: sequence_length(spec, context_length(base.config)))
    learns = plan.learns
    if length is None or learns is None:
        return plan
    longest = min(length, plan.data.longest) if plan.data is not None and plan.data.exact else length
    usual = None if plan.data is None else plan.data.tokens_per_row(spec)
    needed = attempt(found, lambda: estimate(base, spec, learns, length=longest, usual=usual))
    if needed is None:
        return replace(plan, memory_unknown=found[0].message)
    room = usable(known)
    if needed.total <= room:
        return replace(plan, memory=needed)
    ways = ways_to_fit(base, spec, length=longest, room=room, usual=usual)
    return replace(plan, memory=needed, ways=tuple(ways))


def _checkpoints(spec: TrainingSpec, learns: Learnable, length: Course) -> Checkpoints:
    written = -(-length.iterations // spec.save_every)
    kept = kept_at_most(written, spec.keep_checkpoints)
    state = learns.size_bytes + round(optimizer_bytes(spec, learns))
    return Checkpoints(written, kept, learns.saved_bytes, kept * learns.saved_bytes + 2 * state)


def _tokens(data: ExpectedData | None) -> int:
    """Bytes that the tokens of the data will take."""
    return 0 if data is None else (data.tokens + data.valid_tokens) * BYTES_OF_A_TOKEN


def _judged(parts: Parts, wish: Wish, plan: Plan, *, known: Machine, queue: bool) -> Iterator[Finding]:
    if wish.spec is not None:
        if wish.has_data:
            yield from findings.of_data(parts, wish.spec, plan.data)
        if wish.base is not None:
            yield from findings.of_model(wish.spec, wish.base)
        yield from findings.of_settings(wish.spec, plan.course)
        yield from findings.of_hosts(wish.spec)
        if plan.memory is not None:
            yield from findings.of_memory(wish.spec, plan.memory, known=known, ways=plan.ways)
    if plan.checkpoints is not None:
        yield from findings.of_disk(parts, plan.checkpoints.total_bytes, tokens=_tokens(plan.data))
    yield from findings.of_queue(parts, queued=queue)


def _reasons(wish: Wish, plan: Plan) -> Iterator[tuple[str, str]]:
    """What is not known, and why."""
    without_data = "how much there is to train on is not known"
    if wish.base is None:
        yield from dict.fromkeys(("learnable_parameters", "checkpoints", "memory"), "no usable model").items()
    elif plan.memory is None:
        yield "memory", plan.memory_unknown or "the length of a sequence is not known"
    if plan.data is None:
        known = wish.base is not None and wish.has_data
        yield "data", "the files do not say it by their size" if known else "it takes a model and a dataset"
    if plan.course is None:
        yield from dict.fromkeys(("iterations", "learning_rate", "checkpoints"), without_data).items()
    if plan.course is None or plan.course.epochs is None:
        yield from dict.fromkeys(("epochs", "trained_tokens"), without_data).items()
    if plan.duration is None:
        unlike = "no finished run here trained this model, or one of like size, for long enough"
        yield "time", without_data if plan.data is None else unlike
