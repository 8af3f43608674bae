"""The ranking of a run's checkpoints as a table, and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from forgellm.cli.tables import MISSING, figure, size, table
from forgellm.domain.checkpoints import Checkpoint, standard_error

_HEADERS = ("rank", "iteration", "validation loss", "± error", "general loss", "size", "file", "")


def checkpoint_lines(checkpoints: Sequence[Checkpoint], *, width: int | None = None) -> list[str]:
    """The table, as far as it finds room in `width`, and below it what its marks mean."""
    if not checkpoints:
        return ["No checkpoints."]
    rows = [_row(c) for c in checkpoints]
    narrow = (("file", 0), ("size", 0), ("general loss", 0))
    lines = table(_HEADERS, rows, left=("file", ""), width=width, narrow=narrow)
    if any(c.tied_with_best for c in checkpoints):
        lines.append("tie: within the standard error of the difference from the best on the same sequences")
    return lines


def checkpoint_values(checkpoint: Checkpoint) -> Mapping[str, object]:
    """Plain values for JSON."""
    return {
        "rank": checkpoint.rank,
        "iteration": checkpoint.iteration,
        "validation_loss": checkpoint.validation_loss,
        "standard_error": standard_error(checkpoint.sequence_losses),
        "general_validation_loss": checkpoint.general_validation_loss,
        "tied_with_best": checkpoint.tied_with_best,
        "path": checkpoint.path,
        "size_bytes": checkpoint.size_bytes,
        "sha256": checkpoint.sha256,
        "problem": checkpoint.problem,
    }


def _row(checkpoint: Checkpoint) -> tuple[str, ...]:
    return (
        MISSING if checkpoint.rank is None else str(checkpoint.rank),
        str(checkpoint.iteration),
        figure(checkpoint.validation_loss),
        figure(standard_error(checkpoint.sequence_losses)),
        figure(checkpoint.general_validation_loss),
        size(checkpoint.size_bytes),
        PurePosixPath(checkpoint.path).name,
        checkpoint.problem or _mark(checkpoint),
    )


def _mark(checkpoint: Checkpoint) -> str:
    if checkpoint.is_best:
        return "best"
    return "tie" if checkpoint.tied_with_best else ""
