"""What `forgellm train --plan` prints: what the run will be, and what will go wrong with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from forgellm.cli.errors import printable
from forgellm.cli.tables import duration, size
from forgellm.services.expected_data import Course, ExpectedData
from forgellm.services.memory import Machine, MemoryEstimate, fit
from forgellm.services.preflight import Plan, Preflight
from forgellm.services.spec_text import options_of

_WIDTH = 13


def plan_lines(found: Preflight) -> Iterator[str]:
    """Lines for a terminal; what is not known says why."""
    plan = found.plan
    for name, key, words in (
        ("Learns", "learnable_parameters", plan.learns and f"{plan.learns.parameters:,} parameters"),
        ("Data", "data", plan.data and _data(plan.data)),
        ("Length", "iterations", plan.course and _length(plan.course)),
        ("Checkpoints", "checkpoints", _checkpoints(plan)),
        ("Memory", "memory", plan.memory and _memory(plan.memory, found.machine)),
        ("Time", "time", plan.duration and f"about {duration(plan.duration.seconds)}, {plan.duration.basis}"),
    ):
        yield f"{name:<{_WIDTH}}{words or 'not known: ' + found.unknown.get(key, 'the fields do not say it')}"
        if name == "Memory" and plan.memory and found.spec and found.spec.hosts:
            yield f"{'':<{_WIDTH}}{_shared(len(found.spec.hosts))}"
    for way in plan.ways:
        yield f"{'':<{_WIDTH}}{size(way.total)} with {shlex.join(options_of(way.changes))}"
    for finding in found.findings:
        yield printable(f"{finding.level.capitalize()}: {finding.message}. {finding.suggestion}")


def _data(data: ExpectedData) -> str:
    about = "" if data.exact else "about "
    return f"{about}{data.sequences:,} sequences, {data.tokens:,} tokens ({data.basis})"


def _length(length: Course) -> str:
    epochs = "" if length.epochs is None else f", {_passes(length.epochs)} epochs"
    tokens = "" if length.trained_tokens is None else f", {length.trained_tokens:,} tokens"
    return f"{length.iterations:,} iterations{epochs}{tokens}"


def _passes(epochs: float) -> str:
    if epochs < 0.01:
        return "less than 0.01"
    return f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}"


def _checkpoints(plan: Plan) -> str | None:
    if plan.checkpoints is None:
        return None
    kept = plan.checkpoints
    return f"{kept.written} of {size(kept.size_bytes)}, {size(kept.total_bytes)} on disk at most"


def _shared(machines: int) -> str:
    others = "the other one" if machines == 2 else f"each of the other {machines - 1}"
    return f"on this machine, for its share of every batch; {others} needs about as much"


def _memory(needed: MemoryEstimate, known: Machine) -> str:
    parts = ", ".join(f"{name} {size(value)}" for name, value in vars(needed).items() if value)
    judged = fit(needed.total, known.limit)
    return f"{size(needed.total)} of {size(known.limit)} at the peak: {judged} ({parts})"
