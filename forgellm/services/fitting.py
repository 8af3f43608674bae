"""What would make a run fit into memory: the mildest changes of its settings, each with the peak it leads to.

Nothing is loaded, and nothing is changed: they are said before a start, to be chosen from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from forgellm.domain.errors import InvalidField
from forgellm.domain.rows import longest_row
from forgellm.domain.spec import TrainingSpec, parse_spec, sequence_length, to_dict
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


def ways_to_fit(base: ModelFolder, spec: TrainingSpec, *, length: int, room: int) -> list[Way]:
    """For each kind of change the mildest that needs at most `room` bytes; those that cost least come first.

    What changes that which is learned is named only where nothing else helps.
    `length` is that of the longest sequence in tokens. Without any, only another base model helps. Raises
    InvalidModel.
    """

    @cache
    def learns(num_layers: int, fine_tune_type: str) -> Learnable:
        return learnable(base, replace(spec, num_layers=num_layers, fine_tune_type=fine_tune_type))

    def peak(changes: Changes) -> int:
        changed = replace(spec, **changes)  # type: ignore[arg-type]
        shorter = min(length, changed.max_seq_length or length)
        what = learns(changed.num_layers, changed.fine_tune_type)
        return estimate(base, changed, what, length=longest_row(changed, shorter)).total

    def mildest(kind: Iterator[Changes]) -> Iterator[Way]:
        allowed = (changes for changes in kind if _goes_together(spec, changes, base))
        fitting = (Way(changes, total) for changes in allowed if (total := peak(changes)) <= room)
        yield from [way for way in [next(fitting, None)] if way is not None]

    gentle = [way for kind in _gentle(spec) for way in mildest(kind)]
    blocks = learns(spec.num_layers, spec.fine_tune_type).blocks
    least = _least(spec, base)
    return gentle or [
        way for kind in _drastic(spec, least, length=length, blocks=blocks) for way in mildest(kind)
    ]


def _goes_together(spec: TrainingSpec, changes: Changes, base: ModelFolder) -> bool:
    """Whether a start would take it."""
    try:
        changed = parse_spec({**to_dict(spec), **changes})
        sequence_length(changed, context_length(base.config))
    except InvalidField:
        return False
    return True


def _gentle(spec: TrainingSpec) -> Iterator[Iterator[Changes]]:
    """What costs time alone."""
    yield _smaller_batches(spec)
    if spec.packing is not None:
        yield iter([{"packing": None}])
    if not spec.grad_checkpoint and spec.lora_dropout == 0:
        yield _checkpointed(spec)


def _drastic(spec: TrainingSpec, least: Changes, *, length: int, blocks: int) -> Iterator[Iterator[Changes]]:
    """What learns something else, or from less context, beside the changes `least`."""
    yield ({**least, "max_seq_length": shorter} for shorter in _halves(length, _SHORTEST))
    if spec.start_from is not None:
        # What goes on learning has its form.
        return
    if spec.fine_tune_type == "full":
        yield iter([{"fine_tune_type": "lora"}, {**least, "fine_tune_type": "lora"}])
    yield ({**least, "num_layers": fewer} for fewer in _halves(blocks, 1))


def _smaller_batches(spec: TrainingSpec) -> Iterator[Changes]:
    """The same sequences in an update, fewer of them at once."""
    for rows in range(spec.batch_size - 1, max(len(spec.hosts), 1) - 1, -1):
        if spec.batch_size % rows == 0:
            times = spec.batch_size // rows
            yield {"batch_size": rows, "grad_accumulation_steps": times * spec.grad_accumulation_steps}


def _checkpointed(spec: TrainingSpec) -> Iterator[Changes]:
    yield {"grad_checkpoint": True}
    for changes in _smaller_batches(spec):
        yield {**changes, "grad_checkpoint": True}


def _least(spec: TrainingSpec, base: ModelFolder) -> Changes:
    """All that can be done without learning anything else."""
    *_, fewer = {}, *(c for c in _smaller_batches(spec) if _goes_together(spec, c, base))
    least = fewer if spec.packing is None else {**fewer, "packing": None}
    return least if spec.grad_checkpoint or spec.lora_dropout > 0 else {**least, "grad_checkpoint": True}


def _halves(number: int, least: int) -> Iterator[int]:
    while (number := number // 2) >= least:
        yield number
