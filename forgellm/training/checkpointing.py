"""Writing a checkpoint: weights, then the sidecar that makes it one, then the file other tools load."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mlx.nn as nn

from forgellm.domain.checkpoints import Checkpoint, best_iterations
from forgellm.domain.errors import Diverged
from forgellm.storage.checkpoints import (
    checkpoint_path,
    prune,
    read_checkpoints,
    sha256_of,
    write_sidecar,
)
from forgellm.storage.files import atomic_path
from forgellm.training.adapters import are_finite, save_weights
from forgellm.training.losses import Measurement
from forgellm.training.pissa import adapter_weights


def write_checkpoint(
    folder: Path,
    iteration: int,
    *,
    model: nn.Module,
    validation: Measurement,
    general: Measurement | None,
    keep: int | None,
) -> Checkpoint:
    """Save what learns, with the losses measured on exactly these weights; then prune to `keep`.

    Raises Diverged when a weight is not finite: such a file is never written.
    """
    weights = adapter_weights(model)
    if not are_finite(weights):
        raise diverged(iteration, "a weight is not finite")
    path = checkpoint_path(folder, iteration)
    save_weights(path, weights)
    checkpoint = Checkpoint(
        iteration=iteration,
        path=path.name,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        validation_loss=validation.loss,
        general_validation_loss=general.loss if general else None,
        sequence_losses=validation.sequence_losses,
    )
    write_sidecar(folder, checkpoint)
    prune(folder, keep)
    link_best(folder)
    return checkpoint


def diverged(iteration: int, what: str) -> Diverged:
    """The error that ends a run whose numbers are no longer numbers."""
    return Diverged(
        f"training diverged at iteration {iteration}: {what}",
        details={"iteration": iteration},
        suggestion="Lower learning_rate (a tenth is a good try), or add warmup_steps. "
        "Earlier checkpoints are intact.",
    )


def link_best(folder: Path) -> None:
    """Let adapters.safetensors, the name mlx-lm loads, be the best checkpoint so far."""
    best = best_iterations(read_checkpoints(folder, verify=False), 1)
    if not best:
        return
    source = checkpoint_path(folder, best[0])
    with atomic_path(folder / "adapters.safetensors") as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            # Some file systems (exFAT, many network shares) have no hard links.
            shutil.copyfile(source, temporary)
