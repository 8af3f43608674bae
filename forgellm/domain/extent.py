"""How long a run and its sequences are, also where a spec leaves it open, and the folder named after that."""

from __future__ import annotations

import math
import re
from datetime import datetime

from forgellm.domain.errors import InvalidField
from forgellm.domain.spec import DEFAULT_ITERATIONS, TrainingSpec

DEFAULT_SEQUENCE_LENGTH = 2048


def usual_length(context: int | None) -> int:
    """Tokens in one sequence where the spec does not say it."""
    return min(DEFAULT_SEQUENCE_LENGTH, context or DEFAULT_SEQUENCE_LENGTH)


def sequence_length(spec: TrainingSpec, context: int | None) -> int:
    """Tokens in one sequence: what the spec says, else 2048 or the model's context, whichever is less.

    Raises InvalidField where it or a shared row is more than the model's context, or overlaps too much.
    """
    length = spec.max_seq_length or usual_length(context)
    for field, given in (("max_seq_length", length), ("packing", spec.packing)):
        if context is not None and given is not None and given > context:
            raise InvalidField(
                f"{field} is {given}, but the model's context is {context} tokens",
                details={"field": field, "context": context},
                suggestion=f"Use at most {context}; longer documents are cut into several sequences.",
            )
    if spec.chunk_overlap > length // 2:
        raise InvalidField(
            f"chunk_overlap is {spec.chunk_overlap}, more than half of a sequence of {length} tokens",
            details={"field": "chunk_overlap", "max_seq_length": length},
            suggestion=f"Use at most {length // 2}: what overlaps is read again and not learned again.",
        )
    return length


def total_iterations(spec: TrainingSpec, batches_per_epoch: int) -> int:
    """Optimiser updates of the whole run; accumulated batches count as one."""
    if spec.epochs is None:
        return spec.max_iterations or DEFAULT_ITERATIONS
    if spec.grad_accumulation_steps > math.ceil(spec.epochs * batches_per_epoch):
        raise InvalidField(
            f"grad_accumulation_steps is {spec.grad_accumulation_steps}, but {spec.epochs:g} epochs are only "
            f"{math.ceil(spec.epochs * batches_per_epoch)} batches",
            details={"field": "grad_accumulation_steps", "batches_per_epoch": batches_per_epoch},
            suggestion="Lower grad_accumulation_steps or batch_size, or give max_iterations.",
        )
    return max(1, math.ceil(spec.epochs * batches_per_epoch / spec.grad_accumulation_steps))


def folder_name(spec: TrainingSpec, *, max_seq_length: int, created: datetime) -> str:
    """`Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30` (local time), or `_ep1_5_` for epochs.

    How many iterations the epochs are is known only once the corpus is built.
    """
    stem = re.sub(r"[^A-Za-z0-9]+", "_", spec.model_name.rstrip("/").rsplit("/", 1)[-1]).strip("_") or "model"
    rate = re.sub(
        r"[^A-Za-z0-9]+",
        "_",
        f"{spec.learning_rate:.0e}" if _is_round(spec.learning_rate) else f"{spec.learning_rate:g}",
    )
    length = f"iter{spec.max_iterations or DEFAULT_ITERATIONS}"
    if spec.epochs is not None:
        length = f"ep{spec.epochs:g}".replace(".", "_")
    settings = f"lr{rate}_bs{spec.batch_size}_{length}_seq{max_seq_length}"
    return f"{stem[:80]}_{settings}_{created:%Y-%m-%d_%H-%M}"


def _is_round(value: float) -> bool:
    return float(f"{value:.0e}") == value
