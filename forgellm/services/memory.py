"""What a training run will take of the machine's memory, before anything is loaded.

The formula was fitted to the peaks that MLX reported for llama models of several shapes on a CPU, where it
was within a few percent; on a GPU it was not measured. docs/decisions has the figures.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Literal

import psutil

from forgellm.domain import loss_chunks
from forgellm.domain.rows import batch_shapes
from forgellm.domain.spec import TrainingSpec
from forgellm.domain.updates import FUSED_BYTES, FUSED_COPIES
from forgellm.inference.memory import Room
from forgellm.services.activations import activations, number_bytes, passing
from forgellm.services.gpu_limit import gpu_limit, set_wired_limit_mb
from forgellm.services.learnable import Learnable
from forgellm.storage.models import ModelFolder, vocabulary_size
from forgellm.storage.weights import weight_files

Fit = Literal["fits", "tight", "too large"]

_TIGHT = 0.8
"""Above this share of the limit there is little left for whatever else happens."""

_LOGITS = {4: 4.0, 2: 5.0}
"""Arrays of float32 logits alive at once where they are whole, by the bytes of the model's own numbers."""

_LOGITS_OF_PAIRS = {4: 3.5, 2: 5.0}
"""Such arrays where pairs train the output layer."""

_BLOCKS, _BLOCKS_CHECKPOINTED = {4: 2.0, 2: 5.0}, 2.0
"""Blocks of float32 logits where they are not, beside what the activations leave free: with grad_checkpoint
most of these come later."""

_LEARNED_CHUNKS, _LEARNED_SUMS = 1.9, 1.4
"""Of an output layer that learns: chunks of logits, and float32 copies of it that hold its gradient."""

_VALIDATED = 4096
"""Tokens of one pass of a validation."""

_OF_LIKE_LENGTH, _LONGER = 0.1, 2.0
"""Where lengths are mixed: the share of a validation set that has one width, and the width that takes most by
the usual length."""

_VALIDATED_LOGITS = {4: 3.0, 2: 4.0}
"""Blocks of float32 logits in a validation, by the bytes of the model's own numbers."""

_DORA = 1.2
"""DoRA makes each adapted matrix whole to take its norm: so many float32 copies of the blocks that learn."""

_MOMENTS = {"adamw": 2.0, "adam": 2.0, "muon": 1.0, "sgd": 1.0, "adafactor": 0.1}
"""Copies of what learns in the optimiser's state."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Machine:
    """Bytes: all memory, what is free now, and what a program may use of it; `note` says why so much."""

    total: int
    available: int
    limit: int
    note: str


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak of a training step, and what a validation takes beyond that, if it does."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    validation: int = 0

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def estimate(
    model: ModelFolder, spec: TrainingSpec, learns: Learnable, *, length: int, usual: float | None = None
) -> MemoryEstimate:
    """The peak of a run whose longest sequence has `length` tokens and the mean one `usual`, or as many.

    Raises InvalidModel.
    """
    weights = sum(file.stat().st_size for file in weight_files(model.path))
    shapes = [_on_one_machine(spec, shape) for shape in batch_shapes(spec, length)]
    left = activations(model, spec, learns, shapes=shapes)
    if spec.fine_tune_type == "dora":
        left += _DORA * 4 * learns.block_elements
    logits = 4 * _logits(model.config, spec, learns, tokens=max(map(prod, shapes)))
    left = max(left, _update(spec, learns) - logits)
    # Other machines have theirs beside the sums, and are sent a state beside their own.
    carried = 2 if spec.grad_accumulation_steps > 1 or spec.hosts else 1
    moments = round(optimizer_bytes(spec, learns))
    sent = learns.size_bytes + moments if spec.hosts else 0
    step = MemoryEstimate(
        weights=weights,
        adapter=learns.added_bytes,
        gradients=max(learns.size_bytes * carried, sent),
        optimizer=moments,
        activations=round(left),
        logits=round(logits),
    )
    tokens, width = _validated(spec, length, usual or length)
    passed = tokens * passing(model, spec, learns, length=width)
    there = step.weights + step.adapter + step.optimizer
    validation = there + round(max(passed, _validated_logits(model.config, tokens)))
    return replace(step, validation=max(0, validation - step.total))


def _on_one_machine(spec: TrainingSpec, shape: tuple[int, int]) -> tuple[int, int]:
    """The sequences of a batch that the first of its machines has, which are the most, and their tokens."""
    rows, length = shape
    # A pair has two sequences, in one forward pass.
    return -(-rows // max(len(spec.hosts), 1)) * (2 if spec.objective == "dpo" else 1), length


def _validated(spec: TrainingSpec, length: int, usual: float) -> tuple[int, int]:
    """The tokens of the largest pass of a validation, and of one of its rows, all of which are as wide."""
    tokens = min(_VALIDATED, spec.validation_tokens)
    if _LONGER * usual >= length:
        return tokens, length
    alike = max(length, round(_OF_LIKE_LENGTH * spec.validation_tokens))
    return min(tokens, alike), round(_LONGER * usual)


def _validated_logits(config: Mapping[str, object], tokens: int) -> float:
    """Bytes of the blocks of logits of so many tokens."""
    at_once = min(loss_chunks.TILE, tokens * vocabulary_size(config))
    return 4 * _VALIDATED_LOGITS[number_bytes(config)] * at_once


def _logits(config: Mapping[str, object], spec: TrainingSpec, learns: Learnable, *, tokens: int) -> float:
    """Numbers that the loss takes for so many tokens, all of which are learned."""
    vocabulary = vocabulary_size(config)
    size = number_bytes(config)
    whole = _LOGITS[size] * tokens * vocabulary
    head_learns = bool(learns.output_elements) or "lm_head" in (spec.lora_keys or ())
    if tokens * vocabulary < loss_chunks.WHOLE:
        return whole
    if head_learns and spec.objective == "dpo":
        return _LOGITS_OF_PAIRS[size] * tokens * vocabulary
    if head_learns:
        chunk = max(loss_chunks.ROWS, loss_chunks.FEWEST * vocabulary)
        return min(whole, _LEARNED_CHUNKS * chunk + _LEARNED_SUMS * learns.output_elements)
    blocks = _BLOCKS_CHECKPOINTED if spec.grad_checkpoint else _BLOCKS[size]
    return min(whole, blocks * loss_chunks.TILE)


def _update(spec: TrainingSpec, learns: Learnable) -> float:
    """Bytes of the update, when what the gradients needed is gone."""
    fused = spec.max_grad_norm is not None and learns.size_bytes <= FUSED_BYTES
    return FUSED_COPIES.get(spec.optimizer, 0.0) * learns.size_bytes if fused else 0.0


def optimizer_bytes(spec: TrainingSpec, learns: Learnable) -> float:
    """The optimiser's moments."""
    return _MOMENTS[spec.optimizer] * learns.size_bytes


def machine(system: str = platform.system(), cgroup: Path = _CGROUP) -> Machine:
    """What this machine has. A container may have less than its host."""
    memory = psutil.virtual_memory()
    if system == "Darwin":
        kernel, wished = platform.release(), set_wired_limit_mb()
        limit, note = gpu_limit(memory.total, kernel=kernel, wired_limit_mb=wished)
        return Machine(memory.total, memory.available, limit, note)
    with suppress(OSError, ValueError):
        allowed = int(cgroup.read_text())
        if allowed < memory.total:
            available = min(memory.available, allowed)
            return Machine(allowed, available, allowed, "what this container may use")
    return Machine(memory.total, memory.available, memory.total, "all memory of this machine")


def room(known: Machine, system: str = platform.system()) -> Room:
    """What a chat model may take of it. What macOS calls free is far less than what it gives to the GPU: it
    writes out what others hold, up to the GPU's limit.
    """
    return Room(known.available, known.limit if system == "Darwin" else None)


def usable(known: Machine, system: str = platform.system()) -> int:
    """Bytes that a run may take of it now: as with `room`, free memory says nothing on a Mac."""
    return known.limit if system == "Darwin" else min(known.limit, known.available)


def fit(needed: int, limit: int) -> Fit:
    """How `needed` bytes go with a `limit`."""
    return "fits" if needed <= _TIGHT * limit else "tight" if needed <= limit else "too large"
