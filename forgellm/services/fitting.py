"""What would make a run fit into memory: the mildest changes of its settings, each with the peak it leads to.

Nothing is loaded, and nothing is changed: they are said before a start, to be chosen from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from forgellm.domain.errors import InvalidField
from forgellm.domain.extent import sequence_length
from forgellm.domain.spec import TrainingSpec, parse_spec, to_dict
from forgellm.services.learnable import Learnable, learnable
from forgellm.services.memory import estimate
from forgellm.storage.models import ModelFolder, context_length

_SHORTEST = 128
"""Tokens of a sequence below which no text is understood."""

Changes = Mapping[str, object]


@dataclass(frozen=True)
class Way:
    """Fields of the spec to change, by name, and the bytes at the peak of a step with them."""

    changes: Changes
    total: int


def ways_to_fit(
    base: ModelFolder, spec: TrainingSpec, *, length: int, room: int, usual: float | None = None
) -> list[Way]:
    """For each kind of change the mildest that needs at most `room` bytes; those that cost least come first.

    What changes that which is learned is named only where nothing else helps.
    `length` is that of the longest sequence in tokens, `usual` the mean one. Without any, only another base
    model helps. Raises InvalidModel.
    """

    @cache
    def learns(num_layers: int, fine_tune_type: str) -> Learnable:
        return learnable(base, replace(spec, num_layers=num_layers, fine_tune_type=fine_tune_type))

    def peak(changes: Changes) -> int:
        changed = replace(spec, **changes)  # type: ignore[arg-type]
        shorter = min(length, changed.max_seq_length or length)
        what = learns(changed.num_layers, changed.fine_tune_type)
        mean = None if usual is None else min(usual, shorter)
        return estimate(base, changed, what, length=shorter, usual=mean).total

    def mildest(kind: Iterator[Changes]) -> Iterator[Way]:
        allowed = (changes for changes in kind if _goes_together(spec, changes, base))
        fitting = (Way(changes, total) for changes in allowed if (total := peak(changes)) <= room)
        yield from [way for way in [next(fitting, None)] if way is not None]

    gentle = [way for kind in _gentle(spec, length) for way in mildest(kind)]
    blocks = learns(spec.num_layers, spec.fine_tune_type).blocks
    return gentle or [
        way for kind in _drastic(spec, base, length=length, blocks=blocks) for way in mildest(kind)
    ]


def _goes_together(spec: TrainingSpec, changes: Changes, base: ModelFolder) -> bool:
    """Whether a start would take it."""
    try:
        changed = parse_spec({**to_dict(spec), **changes})
        sequence_length(changed, context_length(base.config))
    except InvalidField:
        return False
    return True


def _gentle(spec: TrainingSpec, length: int) -> Iterator[Iterator[Changes]]:
    """What costs time alone."""
    yield _smaller_batches(spec, length)
    if not spec.grad_checkpoint and spec.lora_dropout == 0:
        yield _checkpointed(spec, length)


def _drastic(
    spec: TrainingSpec, base: ModelFolder, *, length: int, blocks: int
) -> Iterator[Iterator[Changes]]:
    """What learns something else, or from less context, beside all that costs time alone."""
    yield (
        {**_least(spec, base, shorter), "max_seq_length": shorter} for shorter in _halves(length, _SHORTEST)
    )
    if spec.start_from is not None:
        # What goes on learning has its form.
        return
    least = _least(spec, base, length)
    if spec.fine_tune_type == "full":
        yield iter([{"fine_tune_type": "lora"}, {**least, "fine_tune_type": "lora"}])
    yield ({**least, "num_layers": fewer} for fewer in _halves(blocks, 1))


def _smaller_batches(spec: TrainingSpec, length: int) -> Iterator[Changes]:
    """As many sequences, or tokens, in an update, fewer of them at once."""
    fewest: Changes = {}
    times = spec.grad_accumulation_steps
    for rows in range(spec.batch_size - 1, max(len(spec.hosts), 1) - 1, -1):
        if spec.batch_size % rows == 0:
            fewest = {"batch_size": rows}
            times = spec.batch_size // rows * spec.grad_accumulation_steps
            yield {**fewest, "grad_accumulation_steps": times}
    narrower = spec.packing or 0
    # Of the longest sequence there is one in any batch.
    while narrower > length and narrower % 2 == 0:
        narrower, times = narrower // 2, 2 * times
        yield {**fewest, "packing": narrower, "grad_accumulation_steps": times}


def _checkpointed(spec: TrainingSpec, length: int) -> Iterator[Changes]:
    yield {"grad_checkpoint": True}
    for changes in _smaller_batches(spec, length):
        yield {**changes, "grad_checkpoint": True}


def _least(spec: TrainingSpec, base: ModelFolder, length: int) -> Changes:
    """All that can be done without learning anything else, the longest sequence having `length` tokens."""
    smaller = reversed([*_smaller_batches(spec, length)])
    least = next((changes for changes in smaller if _goes_together(spec, changes, base)), {})
    return least if spec.grad_checkpoint or spec.lora_dropout > 0 else {**least, "grad_checkpoint": True}


def _halves(number: int, least: int) -> Iterator[int]:
    while (number := number // 2) >= least:
        yield number
