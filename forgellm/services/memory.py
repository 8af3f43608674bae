"""What a training run will take of the machine's memory, before anything is loaded.

The formula was fitted to the peaks that MLX reported for llama models of several shapes on a CPU, where it
was within a few percent; on a GPU it was not measured. docs/decisions has the figures.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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
"""Arrays of float32 logits alive at once, by the bytes of the model's own numbers."""

_IN_CHUNKS = {4: 2.0, 2: 3.0}
"""As many where logits are computed in chunks."""

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
    """Bytes at the peak of a training step."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def estimate(model: ModelFolder, spec: TrainingSpec, learns: Learnable, *, length: int) -> MemoryEstimate:
    """The peak while training on batches of sequences of `length` tokens. Raises InvalidModel."""
    weights = sum(file.stat().st_size for file in weight_files(model.path))
    # A pair has two sequences, in one forward pass.
    tokens = spec.batch_size * length * (2 if spec.objective == "dpo" else 1)
    number = _number_bytes(model.config)
    activations = _activations(model.config, spec, learns, length=length) * tokens
    if spec.fine_tune_type == "dora":
        activations += _DORA * 4 * learns.block_elements
    carried = 2 if spec.grad_accumulation_steps > 1 else 1
    return MemoryEstimate(
        weights=weights,
        adapter=learns.added_bytes,
        gradients=learns.size_bytes * carried,
        optimizer=round(optimizer_bytes(spec, learns)),
        activations=round(activations),
        logits=round(4 * _logits(spec, number, tokens, vocabulary_size(model.config))),
    )


def _logits(spec: TrainingSpec, number: int, tokens: int, vocabulary: int) -> float:
    """Numbers: of all logits of a small batch, else of one chunk of what computes the loss."""
    whole = tokens * vocabulary
    learns = bool({"output", "embeddings"} & set(spec.train_also))
    if whole < loss_chunks.WHOLE or (learns and spec.objective == "dpo"):
        return _LOGITS[number] * whole
    chunk = max(loss_chunks.ROWS, loss_chunks.FEWEST * vocabulary) if learns else loss_chunks.TILE
    return _IN_CHUNKS[number] * min(whole, chunk)


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


def _activations(
    config: Mapping[str, object], spec: TrainingSpec, learns: Learnable, *, length: int
) -> float:
    """Bytes per token over all blocks that the gradient passes, and one more that is being computed."""
    hidden = _number(config, "hidden_size", "n_embd", "d_model") or 0
    numbers = (
        _PER_HIDDEN * hidden
        + _PER_INTERMEDIATE * _intermediate(config, hidden)
        + _PER_SCORE * (_number(config, "num_attention_heads", "n_head") or 0) * length
        + _PER_FACTOR * spec.lora_rank * (learns.matrices / max(learns.blocks, 1))
    )
    share = _CHECKPOINTED if spec.grad_checkpoint else 1.0
    return share * numbers * (learns.blocks + 1) * _activation_bytes(config, spec)


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
