"""What the base gives to every answer of a preference run, before an adapter is attached to it.

Measured once, for the pairs that the run will come by and no others, and kept in the run's folder: a resumed
or published run has to compare with the same numbers. Validation sets are measured in the same batches as
later, so the first margins are exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import mlx.nn as nn
import numpy as np

from forgellm.data.corpus import Corpus
from forgellm.domain.errors import ResumeMismatch
from forgellm.storage.files import atomic_path
from forgellm.training.batches import BatchOrder, Cursor, IntArray, collate
from forgellm.training.losses import Sums, row_losses, sequence_losses
from forgellm.training.output_layer import OutputLayer, Unproven, output_layer

FILE = "reference.npz"


@dataclass(frozen=True)
class Reference:
    """log p of the learned tokens of each row under the base, float64; nan where no run will look."""

    train: Sums
    valid: Sums


def pair_lengths(corpus: Corpus) -> IntArray:
    """Tokens of the longer side of every training pair, int64 [pairs]."""
    longest: IntArray = corpus.train.lengths.reshape(-1, 2).max(axis=1)
    return longest


def measure_reference(
    folder: Path,
    base: nn.Module,
    corpus: Corpus,
    *,
    order: BatchOrder,
    batches: int,
    rows: int,
    attend: Callable[[], None],
) -> None:
    """Measure what the first `batches` of `order` hold, `rows` pairs each, and the validation set.

    What was measured before is kept, also when `attend`, called before each batch, raises.
    """
    found = _known(folder, corpus) or Reference(np.full(len(corpus.train), np.nan), np.zeros(0))
    base.eval()
    layer = output_layer(base)
    try:
        for _, pairs, width in islice(order.from_cursor(Cursor()), batches):
            if np.isnan(found.train[2 * pairs]).any():
                attend()
                _measure_batch(base, corpus, found.train, pairs=pairs, width=width, rows=rows, layer=layer)
            elif not np.isnan(found.train).any():
                break
        if not len(found.valid):
            attend()
            found = Reference(found.train, -sequence_losses(base, corpus.valid, layer=layer)[0])
    finally:
        _write(folder, corpus, found)


def read_reference(folder: Path, corpus: Corpus) -> Reference:
    """What `measure_reference` kept. Raises ResumeMismatch where it is not this corpus's."""
    found = _known(folder, corpus)
    if found is None or len(found.valid) != len(corpus.valid):
        raise ResumeMismatch(
            f"the run's {FILE} is missing or belongs to another corpus",
            details={"path": str(folder / FILE)},
            suggestion="What the base gave to the answers is not known any more: start a new run.",
        )
    return found


def _measure_batch(
    base: nn.Module,
    corpus: Corpus,
    known: Sums,
    *,
    pairs: IntArray,
    width: int,
    rows: int,
    layer: OutputLayer | Unproven,
) -> None:
    """In batches like those that are trained on: other shapes would be rounded otherwise."""
    both = rows_of(pairs)
    batch = collate(corpus.train, both, width, rows=2 * rows)
    measured = -row_losses(base, batch, layer=layer)[: len(both)]
    known[both] = np.where(np.isnan(known[both]), measured, known[both])


def rows_of(pairs: IntArray) -> IntArray:
    """The rows of pairs, each chosen one before its rejected one."""
    rows: IntArray = (2 * np.asarray(pairs)[:, None] + np.arange(2)).ravel()
    return rows


def _known(folder: Path, corpus: Corpus) -> Reference | None:
    """What was kept for this corpus, if it can be read."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as kept:
            if str(kept["corpus"]) != corpus.fingerprint:
                return None
            return Reference(kept["train"], kept["valid"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(folder: Path, corpus: Corpus, found: Reference) -> None:
    with atomic_path(folder / FILE) as temporary, open(temporary, "wb") as file:
        np.savez(file, train=found.train, valid=found.valid, corpus=np.array(corpus.fingerprint))
