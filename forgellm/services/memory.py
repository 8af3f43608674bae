"""What a training run will take of the machine's memory, before anything is loaded.

The formula was fitted to the peaks that MLX reported for llama models of several shapes on a CPU, where it
was within a few percent; on a GPU it was not measured. docs/decisions has the figures.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from forgellm.domain import loss_chunks
from forgellm.domain.spec import TrainingSpec
from forgellm.services.learnable import Learnable
from forgellm.services.model_info import quantization_of
from forgellm.storage.models import ModelFolder, vocabulary_size
from forgellm.storage.weights import weight_files

Fit = Literal["fits", "tight", "too large"]

_TIGHT = 0.8
"""Above this share of the limit there is little left for whatever else happens."""

_PER_HIDDEN, _PER_INTERMEDIATE, _PER_SCORE, _PER_FACTOR = 4.5, 6.0, 1.0, 1.0
"""Numbers that one token leaves behind in one block until the gradient has passed it."""

_LOGITS = {4: 4.0, 2: 5.0}
"""Arrays of float32 logits alive at once where they are whole, by the bytes of the model's own numbers."""

_BLOCKS = {4: 1.0, 2: 3.0}
"""Blocks of float32 logits where they are not, beside what the activations leave free."""

_LEARNED_CHUNKS, _LEARNED_SUMS = 1.9, 1.4
"""Of an output layer that learns: chunks of logits, and float32 copies of it that hold its gradient."""

_VALIDATED, _VALIDATED_BLOCK = 4096, 0.5
"""Tokens of one pass of a validation, and the share of a block's activations that it holds."""

_VALIDATED_LOGITS = {4: 2.0, 2: 2.7}
"""Blocks of float32 logits in a validation, by the bytes of the model's own numbers."""

_CHECKPOINTED = 0.75
"""What is left of the activations with grad_checkpoint: every block's input, and one block whole."""

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


def estimate(model: ModelFolder, spec: TrainingSpec, learns: Learnable, *, length: int) -> MemoryEstimate:
    """The peak while training on batches of sequences of `length` tokens. Raises InvalidModel."""
    weights = sum(file.stat().st_size for file in weight_files(model.path))
    # Each machine has its rows of a batch, the first one the most of them.
    # With packing a batch has so many tokens, and fewer rows the longer they are.
    batch = spec.batch_size if spec.packing is None else max(1, spec.batch_size * spec.packing // length)
    rows = -(-batch // max(len(spec.hosts), 1))
    # A pair has two sequences, in one forward pass.
    tokens = rows * length * (2 if spec.objective == "dpo" else 1)
    block = _block(model.config, spec, learns, length=length)
    activations = (_CHECKPOINTED if spec.grad_checkpoint else 1.0) * block * (learns.blocks + 1) * tokens
    if spec.fine_tune_type == "dora":
        activations += _DORA * 4 * learns.block_elements
    # Other machines have theirs beside the sums, and are sent a state beside their own.
    carried = 2 if spec.grad_accumulation_steps > 1 or spec.hosts else 1
    moments = round(optimizer_bytes(spec, learns))
    sent = learns.size_bytes + moments if spec.hosts else 0
    step = MemoryEstimate(
        weights=weights,
        adapter=learns.added_bytes,
        gradients=max(learns.size_bytes * carried, sent),
        optimizer=moments,
        activations=round(activations),
        logits=round(4 * _logits(model.config, spec, learns, tokens=tokens)),
    )
    return replace(step, validation=max(0, _validation(step, model, spec, block=block) - step.total))


def _validation(step: MemoryEstimate, model: ModelFolder, spec: TrainingSpec, *, block: float) -> int:
    """The peak of a validation, without gradients; a token leaves `block` bytes in one block of a step."""
    tokens = min(_VALIDATED, spec.validation_tokens)
    at_once = min(loss_chunks.TILE, tokens * vocabulary_size(model.config))
    logits = 4 * _VALIDATED_LOGITS[_number_bytes(model.config)] * at_once
    passed = _VALIDATED_BLOCK * block * tokens
    return round(step.weights + step.adapter + step.optimizer + passed + logits)


def _logits(config: Mapping[str, object], spec: TrainingSpec, learns: Learnable, *, tokens: int) -> float:
    """Numbers that the loss takes for so many tokens, all of which are learned."""
    vocabulary = vocabulary_size(config)
    whole = _LOGITS[_number_bytes(config)] * tokens * vocabulary
    head_learns = bool(learns.output_elements) or "lm_head" in (spec.lora_keys or ())
    if tokens * vocabulary < loss_chunks.WHOLE or (head_learns and spec.objective == "dpo"):
        return whole
    if head_learns:
        chunk = max(loss_chunks.ROWS, loss_chunks.FEWEST * vocabulary)
        return min(whole, _LEARNED_CHUNKS * chunk + _LEARNED_SUMS * learns.output_elements)
    return min(whole, _BLOCKS[_number_bytes(config)] * loss_chunks.TILE)


def optimizer_bytes(spec: TrainingSpec, learns: Learnable) -> float:
    """The optimiser's moments."""
    return _MOMENTS[spec.optimizer] * learns.size_bytes


def machine(system: str = platform.system(), cgroup: Path = _CGROUP) -> Machine:
    """What this machine has. A container may have less than its host."""
    memory = psutil.virtual_memory()
    if system == "Darwin":
        share, words = (2 / 3, "two thirds") if memory.total <= 36 * 2**30 else (3 / 4, "three quarters")
        note = f"macOS lets the GPU use {words} of the memory unless iogpu.wired_limit_mb says otherwise"
        return Machine(memory.total, memory.available, round(share * memory.total), note)
    with suppress(OSError, ValueError):
        allowed = int(cgroup.read_text())
        if allowed < memory.total:
            available = min(memory.available, allowed)
            return Machine(allowed, available, allowed, "what this container may use")
    return Machine(memory.total, memory.available, memory.total, "all memory of this machine")


def fit(needed: int, limit: int) -> Fit:
    """How `needed` bytes go with a `limit`."""
    return "fits" if needed <= _TIGHT * limit else "tight" if needed <= limit else "too large"


def _block(config: Mapping[str, object], spec: TrainingSpec, learns: Learnable, *, length: int) -> float:
    """Bytes that one token leaves behind in one block that the gradient passes."""
    hidden = _number(config, "hidden_size", "n_embd", "d_model") or 0
    numbers = (
        _PER_HIDDEN * hidden
        + _PER_INTERMEDIATE * _intermediate(config, hidden)
        + _PER_SCORE * (_number(config, "num_attention_heads", "n_head") or 0) * length
        + _PER_FACTOR * spec.lora_rank * (learns.matrices / max(learns.blocks, 1))
    )
    return numbers * _activation_bytes(config, spec)


def _intermediate(config: Mapping[str, object], hidden: int) -> int:
    """Width of the feed-forward part that one token passes, all its experts together."""
    expert = _number(config, "moe_intermediate_size")
    if expert is not None:
        return expert * (_number(config, "num_experts_per_tok", "num_experts_per_token") or 1)
    return _number(config, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden


def _activation_bytes(config: Mapping[str, object], spec: TrainingSpec) -> int:
    """Half-precision models keep a part in float32, because the factors are."""
    if _number_bytes(config) == 4:
        return 4
    return 2 if spec.fine_tune_type == "full" else 3


def _number_bytes(config: Mapping[str, object]) -> int:
    dtype = config.get("dtype") or config.get("torch_dtype")
    return 4 if dtype == "float32" and not quantization_of(config) else 2


def _number(config: Mapping[str, object], *names: str) -> int | None:
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, dict) else {}):
        for name in names:
            value = place.get(name)
            if type(value) is int and value > 0:
                return value
    return None
