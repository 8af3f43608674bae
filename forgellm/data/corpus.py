"""The corpus of a run: from a dataset to the files it is trained and measured on, with their fingerprint.

Built once for each run and read again at every resume. How many passes are made over it is decided by
the training loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.sequences import Sequences
from forgellm.data.shaping import Part, draw_mixture, draw_validation, shape
from forgellm.data.sources import Source, check_dataset, read_source
from forgellm.data.token_files import damaged, hash_of, read_sequences, write_sequences
from forgellm.domain.errors import InvalidDataset
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.files import read_json, storage_errors, write_json

__all__ = ["Corpus", "Sequences", "build_corpus", "check_dataset", "load_corpus"]

MANIFEST = "corpus.json"
_KEYS = {"fingerprint", "parts", "shaped_by", "summary"}
_SHAPING_FIELDS = (
    "training_type",
    "data_mixture_ratio",
    "validation_fraction",
    "validation_tokens",
    "seed",
)


@dataclass(frozen=True)
class Corpus:
    """What one run is trained and measured on; `summary` has the counts to see before the start."""

    train: Sequences
    valid: Sequences
    general_valid: Sequences | None
    fingerprint: str
    summary: Mapping[str, object]


@dataclass(frozen=True)
class _Domain:
    """One dataset in tokens: all it has to train on, the capped part to measure on, and its counts."""

    train: Part
    valid: Sequences
    summary: Mapping[str, object]


def build_corpus(
    folder: Path,
    *,
    spec: TrainingSpec,
    max_seq_length: int,
    dataset: Path,
    general: Path | None,
    tokenizer: Any,
    vocab_size: int,
) -> Corpus:
    """Read, check, split and tokenise `dataset` (and `general`), write it to `folder`, a run's `corpus/`.

    Raises InvalidDataset with file, line and reason of what is wrong, DiskFull, ReadOnly.
    """
    settings = _Shaping(spec, max_seq_length, tokenizer, vocab_size)
    domain = _read(dataset, settings)
    if len(domain.train.sequences) < spec.batch_size:
        raise _fewer_than_a_batch(dataset.name, len(domain.train.sequences), spec.batch_size)
    other = _read(general, settings, general=True) if general is not None else None
    mixture = draw_mixture(
        domain.train.sequences,
        other.train.sequences if other is not None else None,
        ratio=spec.data_mixture_ratio,
        seed=spec.seed,
    )
    parts = {"train": mixture.sequences, "valid": domain.valid}
    if other is not None:
        parts["general_valid"] = other.valid
    summary = {
        "train_sequences": len(mixture.sequences),
        "train_tokens": len(mixture.sequences.tokens),
        "learned_tokens": int(mixture.sequences.learned.sum()),
        "domain_share": mixture.domain_share,
        **domain.summary,
        **({"general": {**other.summary, "drawn_sequences": mixture.drawn}} if other is not None else {}),
    }
    _write(folder, parts, shaped_by=settings.values(), summary=summary)
    return load_corpus(folder)


def load_corpus(folder: Path) -> Corpus:
    """The corpus in a run's `corpus/`, mapped into memory.

    Raises ResumeMismatch where it is not, byte for byte, what `build_corpus` wrote.
    """
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except (OSError, ValueError) as error:
        raise damaged(path, "is missing or cut off") from error
    if not isinstance(manifest, dict) or not set(manifest) >= _KEYS:
        raise damaged(path, "does not hold what it should")
    parts = {name: read_sequences(folder, name) for name in manifest["parts"]}
    if hash_of(parts.values(), manifest["shaped_by"]) != manifest["fingerprint"]:
        raise damaged(path, "does not match the tokens beside it")
    return Corpus(
        train=parts["train"],
        valid=parts["valid"],
        general_valid=parts.get("general_valid"),
        fingerprint=manifest["fingerprint"],
        summary=manifest["summary"],
    )


@dataclass(frozen=True)
class _Shaping:
    """Everything beside the dataset that decides which tokens a corpus has."""

    spec: TrainingSpec
    max_seq_length: int
    tokenizer: Any
    vocab_size: int

    def values(self) -> dict[str, object]:
        fields = asdict(self.spec)
        template = repr(self.tokenizer.chat_template)
        backend = self.tokenizer.backend_tokenizer.to_str()
        return {
            **{name: fields[name] for name in _SHAPING_FIELDS},
            "max_seq_length": self.max_seq_length,
            "tokenizer": hashlib.sha256(f"{backend}\n{template}".encode()).hexdigest(),
        }


def _read(folder: Path, settings: _Shaping, *, general: bool = False) -> _Domain:
    """A dataset in tokens. General data is encoded for training only where some of it is mixed in."""
    spec = settings.spec
    source = read_source(folder, spec=spec, general=general)
    if source.problems:
        raise invalid_dataset(folder.name, source.problems)
    mixed = not general or spec.data_mixture_ratio < 1.0
    options = {"tokenizer": settings.tokenizer, "max_seq_length": settings.max_seq_length}
    train = shape(source.train if mixed else (), joined=True, seed=spec.seed, **options)
    valid = shape(source.valid, joined=False, seed=spec.seed, **options)
    problems = [*train.problems, *valid.problems]
    if problems:
        raise invalid_dataset(folder.name, problems)
    _check_ids(folder.name, (train.sequences, valid.sequences), settings.vocab_size)
    _check_not_empty(source, train if mixed else None, valid)
    drawn = draw_validation(valid.sequences, most_tokens=spec.validation_tokens, seed=spec.seed)
    return _Domain(train, drawn, _summary(source, train, valid, drawn))


def _check_ids(name: str, parts: tuple[Sequences, ...], vocab_size: int) -> None:
    """MLX reads garbage for an id beyond the embedding, and does not complain."""
    largest = max((int(p.tokens.max()) for p in parts if len(p.tokens)), default=0)
    if largest >= vocab_size:
        raise InvalidDataset(
            f"dataset {name} has token {largest}, and the model's vocabulary ends at {vocab_size - 1}",
            details={"dataset": name, "token": largest, "vocab_size": vocab_size},
            suggestion="The tokenizer does not belong to this model: copy or download the model again.",
        )


def _check_not_empty(source: Source, train: Part | None, valid: Part) -> None:
    hint = "Add data, or raise max_seq_length where the answers are cut off."
    if train is not None and not len(train.sequences):
        raise invalid_dataset(source.name, [Problem(source.name, None, "has nothing to learn in it", hint)])
    if not len(valid.sequences):
        reason = f"has nothing to validate on ({source.split})"
        raise invalid_dataset(source.name, [Problem(source.name, None, reason, hint)])


def _fewer_than_a_batch(name: str, rows: int, batch_size: int) -> InvalidDataset:
    reason = f"gives {rows} sequences to train on, fewer than one batch of {batch_size}"
    hint = "Lower batch_size, lower max_seq_length, or add data."
    return invalid_dataset(name, [Problem(name, None, reason, hint)])


def _summary(source: Source, train: Part, valid: Part, drawn: Sequences) -> dict[str, object]:
    return {
        "items": len(source.train) + len(source.valid),
        "split": source.split,
        "cut_rows": train.cut + valid.cut,
        "dropped_rows": train.dropped + valid.dropped,
        "valid_sequences": len(drawn),
        "valid_tokens": len(drawn.tokens),
        "valid_learned_tokens": int(drawn.learned.sum()),
        "held_out_sequences": len(valid.sequences),
        "held_out_tokens": len(valid.sequences.tokens),
        "longest_sequence": int(np.max(train.sequences.lengths, initial=0)),
    }


def _write(
    folder: Path,
    parts: Mapping[str, Sequences],
    *,
    shaped_by: Mapping[str, object],
    summary: Mapping[str, object],
) -> None:
    """The manifest comes last: without it there is no corpus."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, sequences in parts.items():
        write_sequences(folder, name, sequences)
    write_json(
        folder / MANIFEST,
        {
            "fingerprint": hash_of(parts.values(), shaped_by),
            "parts": list(parts),
            "shaped_by": dict(shaped_by),
            "summary": dict(summary),
        },
    )
