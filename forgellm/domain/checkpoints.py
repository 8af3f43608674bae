"""Ranking checkpoints, ties, what to keep, and when to stop early.

A checkpoint counts only with a validation loss measured on exactly its weights; whether its file exists,
matches its hash and is finite is found out by `storage.checkpoints` before anything is ranked here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Checkpoint:
    """One numbered adapter file.

    `validation_loss` and `general_validation_loss` are nats per token; `sequence_losses` are the (sum of
    losses, number of targets) of each sequence of the fixed validation set, which the paired test needs.
    """

    iteration: int
    path: str
    sha256: str
    size_bytes: int
    validation_loss: float | None
    general_validation_loss: float | None = None
    sequence_losses: tuple[tuple[float, int], ...] = ()
    problem: str | None = None
    rank: int | None = None
    tied_with_best: bool = False

    @property
    def is_best(self) -> bool:
        return self.rank == 1


def rank(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Ascending validation loss, ties marked; unusable ones last, without a rank, in order of iteration."""
    usable = sorted((c for c in checkpoints if _rankable(c)), key=lambda c: (c.validation_loss, c.iteration))
    ranked = [
        replace(c, rank=n, tied_with_best=n > 1 and is_tie(usable[0], c)) for n, c in enumerate(usable, 1)
    ]
    rest = sorted((c for c in checkpoints if not _rankable(c)), key=lambda c: c.iteration)
    return ranked + [replace(c, rank=None, tied_with_best=False) for c in rest]


def best_iterations(checkpoints: Sequence[Checkpoint], count: int = 3) -> list[int]:
    """The iterations of the best `count` checkpoints, best first."""
    return [c.iteration for c in rank(checkpoints) if c.rank is not None][:count]


def is_tie(best: Checkpoint, other: Checkpoint) -> bool:
    """Whether the difference lies within one standard error of the paired per-sequence differences.

    Both must have been measured on the same sequences (same target counts); otherwise only equality ties.
    """
    if best.validation_loss is None or other.validation_loss is None:
        return False
    difference = other.validation_loss - best.validation_loss
    error = paired_standard_error(best.sequence_losses, other.sequence_losses)
    return difference <= (error or 0.0)


def paired_standard_error(a: Sequence[tuple[float, int]], b: Sequence[tuple[float, int]]) -> float | None:
    """Standard error, in nats per token, of the token-weighted mean difference b - a over sequences.

    The ratio estimator of survey sampling (Cochran, Sampling Techniques, 3rd ed., section 6.4): None when
    the two were not measured on the same sequences or there are fewer than two of them.
    """
    if len(a) != len(b) or len(a) < 2 or any(x[1] != y[1] for x, y in zip(a, b, strict=True)):
        return None
    tokens = sum(n for _, n in a)
    if tokens == 0:
        return None
    mean = sum(y[0] - x[0] for x, y in zip(a, b, strict=True)) / tokens
    residuals = [(y[0] - x[0]) - mean * x[1] for x, y in zip(a, b, strict=True)]
    count = len(residuals)
    return math.sqrt(count / (count - 1) * sum(r * r for r in residuals)) / tokens


def standard_error(losses: Sequence[tuple[float, int]]) -> float | None:
    """Standard error of one token-weighted mean loss; None with fewer than two sequences."""
    return paired_standard_error([(0.0, n) for _, n in losses], losses)


def to_prune(checkpoints: Sequence[Checkpoint], keep: int | None) -> list[Checkpoint]:
    """Those to delete so that about `keep` stay: never one of the best three, never the newest."""
    if keep is None:
        return []
    ordered = rank(checkpoints)
    newest = max((c.iteration for c in checkpoints), default=None)
    protected = {*best_iterations(checkpoints), newest}
    kept = {c.iteration for c in ordered[:keep]} | protected
    return [c for c in ordered if c.iteration not in kept]


def kept_at_most(written: int, keep: int | None) -> int:
    """How many of the `written` checkpoints lie there at most when `to_prune` follows each of them."""
    return written if keep is None else min(written, max(keep, 3) + 1)


@dataclass(frozen=True)
class StoppingRule:
    """When a run ends by itself. `patience` counts validations without improvement over the best.

    `overfitting_threshold` is the relative rise (loss - best) / best above which the run ends.
    """

    patience: int | None = None
    min_delta: float = 0.0
    overfitting_threshold: float | None = None


def stop_reason(rule: StoppingRule, losses: Sequence[float]) -> str | None:
    """Why the run should end after the validation losses measured so far, or None to go on."""
    if not losses:
        return None
    best = min(losses)
    rise = (losses[-1] - best) / best if best > 0 else 0.0
    if rule.overfitting_threshold is not None and rise > rule.overfitting_threshold:
        limit = rule.overfitting_threshold
        return f"validation loss is {rise:.1%} above its best, over the threshold of {limit:.1%}"
    waited = _validations_since_improvement(losses, rule.min_delta)
    if rule.patience is not None and waited >= rule.patience:
        return f"no improvement of more than {rule.min_delta} in {waited} validations"
    return None


def _validations_since_improvement(losses: Sequence[float], min_delta: float) -> int:
    best, waited = math.inf, 0
    for loss in losses:
        improved = loss < best - min_delta
        best, waited = (loss, 0) if improved else (best, waited + 1)
    return waited


def _rankable(checkpoint: Checkpoint) -> bool:
    loss = checkpoint.validation_loss
    return checkpoint.problem is None and loss is not None and math.isfinite(loss)


def sidecar(checkpoint: Checkpoint) -> Mapping[str, object]:
    """What the .json beside a checkpoint file holds; the path is known from the file itself."""
    return {
        "iteration": checkpoint.iteration,
        "validation_loss": checkpoint.validation_loss,
        "general_validation_loss": checkpoint.general_validation_loss,
        "sequence_losses": [list(pair) for pair in checkpoint.sequence_losses],
        "sha256": checkpoint.sha256,
        "size_bytes": checkpoint.size_bytes,
        "finite": True,
    }
