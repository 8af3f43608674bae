"""How long a run will take, by how fast earlier runs on this machine were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, takewhile

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import REFERENCE_PHASE, Event, Run
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.services.expected_data import Course, ExpectedData, course, expected_data
from forgellm.services.learnable import modules_of
from forgellm.services.parts import Parts
from forgellm.services.progress import measured
from forgellm.storage.events import events_after, last_event
from forgellm.storage.models import ModelFolder, find_model, fingerprint
from forgellm.storage.runs import list_runs, run_folder

_LOOKED_AT = 30
_LIKE = 4.0
"""A model with up to so many times more or fewer parameters tells something of the pace."""
_SHORTEST = 2.0
"""Seconds of training below which a run says little."""

# Work per token: through a frozen base about 4 operations per parameter, 6 where all learn, 2 more to compute
# activations twice.
_LORA, _FULL, _AGAIN = 4.0, 6.0, 2.0
_FORWARD = 2.0
"""Of that, going through the model without learning."""


@dataclass(frozen=True)
class Pace:
    """What a finished run took. `overhead` is seconds beside the iterations (validations, checkpoints) for
    each token that was validated, None where that is not known; `opening` before the first iteration, without
    measuring a reference."""

    run: Run
    tokens_per_second: float
    overhead: float | None
    opening: float
    likeness: float


@dataclass(frozen=True)
class Duration:
    """Seconds from the start to the end, and what they were reckoned from."""

    seconds: float
    tokens_per_second: float
    basis: str


def duration(
    parts: Parts, spec: TrainingSpec, base: ModelFolder, *, data: ExpectedData, length: Course
) -> Duration | None:
    """How long the run will take; None where no earlier run trained this model or one of like size."""
    known = list(_paces(parts, spec, base))
    if not known or length.trained_tokens is None:
        return None
    best = min(known, key=lambda pace: pace.likeness)
    validations = 1 + length.iterations / min(spec.eval_every, spec.save_every)
    beside = (best.overhead or 0.0) * validations * data.valid_tokens
    seconds = best.opening + length.trained_tokens / best.tokens_per_second + beside
    if spec.objective == "dpo":
        # The base is asked about each pair once, and about the validation set, before it is trained.
        asked = min(data.tokens, length.trained_tokens) + data.valid_tokens
        seconds += asked / best.tokens_per_second * _FORWARD / _work(spec)
    same = best.run.base_fingerprint == fingerprint(base.path)
    model = "the same model" if same else str(best.run.spec.get("model_name"))
    return Duration(seconds, best.tokens_per_second, f"run {best.run.id}, which trained {model}")


def expected(parts: Parts, run: Run) -> Duration | None:
    """How long a run that was just created will take once it begins; None where nothing says it."""
    spec = parse_spec(run.spec)
    base = find_model(parts.workspace, parts.hub_cache, spec.model_name)
    data = expected_data(parts, spec, base)
    length = None if data is None else course(spec, data)
    if data is None or length is None:
        return None
    return duration(parts, spec, base, data=data, length=length)


def _paces(parts: Parts, spec: TrainingSpec, base: ModelFolder) -> Iterator[Pace]:
    wanted, size = fingerprint(base.path), _size(base)
    looked = [run for run in reversed(list_runs(parts.workspace)) if run.kind.trains][:_LOOKED_AT]
    for run in looked:
        try:
            theirs = parse_spec(run.spec)
            same = run.base_fingerprint == wanted
            ratio = (
                1.0 if same else _size(find_model(parts.workspace, parts.hub_cache, theirs.model_name)) / size
            )
            if 1 / _LIKE <= ratio <= _LIKE:
                machines = max(len(spec.hosts), 1) / max(len(theirs.hosts), 1)
                pace = _pace(parts, run, factor=machines * ratio * _work(theirs) / _work(spec))
                if pace is not None:
                    yield _with_likeness(pace, spec, theirs, ratio=ratio, same=same)
        except ForgeError:
            # A run from elsewhere, or whose model has gone, tells nothing.
            continue


def _pace(parts: Parts, run: Run, *, factor: float) -> Pace | None:
    folder = run_folder(parts.workspace, run)
    end = last_event(folder, ("completed", "early_stopped", "stopped"))
    seconds, tokens = (
        measured(end.get(key)) if end else None for key in ("training_seconds", "trained_tokens")
    )
    if end is None or not seconds or not tokens or seconds < _SHORTEST:
        return None
    head = list(takewhile(lambda event: event["type"] != "train", events_after(folder, 0)))
    begun = next((event for event in head if event.get("phase") == "training"), None)
    resumed = last_event(folder, ("resumed",)) is not None
    beside = None if resumed or begun is None else _between(begun, end)
    return Pace(
        run=run,
        tokens_per_second=factor * tokens / seconds,
        overhead=_overhead(head, end, run, beside=None if beside is None else beside - seconds),
        opening=0.0 if begun is None else _opening(head[: 1 + head.index(begun)]),
        likeness=0.0,
    )


def _opening(head: list[Event]) -> float:
    """Seconds between its first and its last event, without those in which a reference was measured."""
    spans = ((_between(*pair) or 0.0, pair[0].get("phase")) for pair in pairwise(head))
    return sum(seconds for seconds, phase in spans if phase != REFERENCE_PHASE)


def _overhead(head: list[Event], end: Event, run: Run, *, beside: float | None) -> float | None:
    """Seconds beside the iterations for each token validated."""
    valid = next((measured(event.get("valid_tokens")) for event in head if event["type"] == "corpus"), None)
    iterations = measured(end.get("iteration"))
    every = [n for key in ("eval_every", "save_every") if isinstance(n := run.spec.get(key), int) and n > 0]
    if beside is None or not valid or iterations is None or not every:
        return None
    return max(0.0, beside) / ((1 + iterations / min(every)) * valid)


def _with_likeness(pace: Pace, spec: TrainingSpec, theirs: TrainingSpec, *, ratio: float, same: bool) -> Pace:
    """The less, the more alike: another model weighs most, then the form of training, then its batches."""
    form = sum(
        getattr(spec, name) != getattr(theirs, name)
        for name in ("fine_tune_type", "grad_checkpoint", "num_layers", "max_seq_length", "hosts", "packing")
    )
    batches = abs(math.log(spec.batch_size / theirs.batch_size))
    likeness = (0.0 if same else 10.0 + abs(math.log(ratio))) + form + batches
    return Pace(pace.run, pace.tokens_per_second, pace.overhead, pace.opening, likeness)


def _work(spec: TrainingSpec) -> float:
    learning = _FULL if spec.fine_tune_type == "full" else _LORA
    return learning + (_AGAIN if spec.grad_checkpoint else 0.0)


def _size(model: ModelFolder) -> float:
    return float(sum(module.elements for module in modules_of(model))) or 1.0


def _between(first: Event, last: Event) -> float | None:
    try:
        begun, ended = (datetime.fromisoformat(str(e["time"]).replace("Z", "+00:00")) for e in (first, last))
    except (KeyError, ValueError):
        return None
    return (ended - begun).total_seconds()
