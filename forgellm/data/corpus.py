"""The corpus of a run: from a dataset to the files it is trained and measured on, with their fingerprint.

Built once for each run and read again at every resume. How many passes are made over it is decided by
the training loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forgellm.data.parting import Parted, part
from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.sequences import Sequences
from forgellm.data.shaping import Shaper, draw_mixture, draw_validation
from forgellm.data.sources import kind_of
from forgellm.data.token_cache import TokenCache
from forgellm.data.token_files import (
    SequencesWriter,
    damaged,
    hash_of,
    read_sequences,
    remove_sequences,
    writing_sequences,
)
from forgellm.data.token_store import TokenStore
from forgellm.data.tokens import identity
from forgellm.domain.errors import InvalidDataset
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.files import PARTIAL, read_json, storage_errors, write_json

__all__ = ["Corpus", "Sequences", "build_corpus", "load_corpus"]

MANIFEST = "corpus.json"
_KEYS = {"fingerprint", "parts", "shaped_by", "summary"}
_SHAPING_FIELDS = (
    "training_type",
    "data_mixture_ratio",
    "validation_fraction",
    "validation_tokens",
    "chunk_overlap",
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


def build_corpus(
    folder: Path,
    *,
    spec: TrainingSpec,
    max_seq_length: int,
    dataset: Path,
    general: Path | None,
    tokenizer: Any,
    vocab_size: int,
    cache: TokenCache,
) -> Corpus:
    """Read, check, split and tokenise `dataset` (and `general`), write it to `folder`, a run's `corpus/`.

    Raises InvalidDataset with file, line and reason of what is wrong, DiskFull, ReadOnly.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(f"{PARTIAL}*"):
            left_over.unlink(missing_ok=True)
    settings = _Settings(folder, spec, max_seq_length, tokenizer, vocab_size, cache)
    names = ["train", "valid"]
    with writing_sequences(folder, "train") as train:
        counts = _build_domain(settings, dataset, train)
        domain = train.tokens
        if general is not None:
            counts["general"] = _build_general(settings, general, train)
            names.append("general_valid")
    summary = {
        "train_sequences": train.count,
        "train_tokens": train.tokens,
        "learned_tokens": train.learned,
        "domain_share": domain / train.tokens,
        **counts,
    }
    # Written last: without it there is no corpus.
    manifest = {"parts": names, "shaped_by": settings.values(), "summary": summary}
    write_json(folder / MANIFEST, {"fingerprint": hash_of(folder, names, settings.values()), **manifest})
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
    if hash_of(folder, manifest["parts"], manifest["shaped_by"]) != manifest["fingerprint"]:
        raise damaged(path, "does not match the tokens beside it")
    return Corpus(
        train=parts["train"],
        valid=parts["valid"],
        general_valid=parts.get("general_valid"),
        fingerprint=manifest["fingerprint"],
        summary=manifest["summary"],
    )


@dataclass(frozen=True)
class _Settings:
    """Where a corpus is built, and everything beside the dataset that decides which tokens it has."""

    folder: Path
    spec: TrainingSpec
    max_seq_length: int
    tokenizer: Any
    vocab_size: int
    cache: TokenCache

    def values(self) -> dict[str, object]:
        fields = asdict(self.spec)
        return {
            **{name: fields[name] for name in _SHAPING_FIELDS},
            "max_seq_length": self.max_seq_length,
            "tokenizer": identity(self.tokenizer),
        }


@dataclass(frozen=True)
class _Dataset:
    """A dataset in tokens, and which of them are trained on."""

    name: str
    store: TokenStore
    shaper: Shaper
    parted: Parted

    @property
    def together(self) -> int:
        """Rows of one item: a preference has two."""
        return 2 if self.shaper.kind == "preferences" else 1

    def counts(self) -> dict[str, object]:
        """Of the items, once all rows have been made."""
        return {
            "items": len(self.store.lengths),
            "split": self.parted.said,
            "cut_rows": self.shaper.cut,
            "dropped_rows": self.shaper.dropped,
            "notes": self.store.facts["notes"],
        }


def _build_domain(settings: _Settings, folder: Path, train: SequencesWriter) -> dict[str, object]:
    """Write the rows of the domain dataset; the counts to see before the start."""
    with _opened(settings, folder) as dataset:
        _write_train(dataset, train)
        items = train.count // dataset.together
        if items < settings.spec.batch_size:
            raise _fewer_than_a_batch(dataset, items, settings.spec.batch_size)
        validation = _write_valid(settings, dataset, "valid")
        pairs = {"train_pairs": items} if dataset.together > 1 else {}
        return {**dataset.counts(), **pairs, **validation, "longest_sequence": train.longest}


def _build_general(settings: _Settings, folder: Path, train: SequencesWriter) -> dict[str, object]:
    """Write the general rows that are mixed in, and those that forgetting is measured on."""
    spec, drawn, known, longest = settings.spec, 0, 0, 0
    with _opened(settings, folder, general=True) as dataset:
        if spec.data_mixture_ratio < 1.0:
            with _set_aside(settings.folder, _GENERAL, lambda writer: _write_train(dataset, writer)) as rows:
                domain, longest = train.tokens, int(rows.lengths.max())
                chosen = draw_mixture(domain, rows.lengths, ratio=spec.data_mixture_ratio, seed=spec.seed)
                for index in chosen:
                    train.add(*rows[index])
                drawn, known = len(chosen), len(rows)
        validation = _write_valid(settings, dataset, "general_valid")
        counts = {**dataset.counts(), **validation, "longest_sequence": longest}
        return {**counts, "sequences": known, "drawn_sequences": drawn}


@contextmanager
def _opened(settings: _Settings, folder: Path, *, general: bool = False) -> Iterator[_Dataset]:
    spec = settings.spec
    kind = kind_of(folder, spec=spec, general=general)
    with settings.cache.opened(folder, kind, settings.tokenizer) as store:
        _check_ids(folder.name, store.largest, settings.vocab_size)
        parted = part(store, kind, fraction=spec.validation_fraction, seed=spec.seed, name=folder.name)
        shaper = Shaper(store, kind, settings.max_seq_length, spec.chunk_overlap, spec.seed)
        yield _Dataset(folder.name, store, shaper, parted)


def _write_train(dataset: _Dataset, writer: SequencesWriter) -> None:
    for ids, learned in dataset.shaper.train(dataset.parted):
        writer.add(ids, learned)
    if not writer.count:
        raise invalid_dataset(
            dataset.name, [Problem(dataset.name, None, "has nothing to learn in it", _HINT)]
        )


def _write_valid(settings: _Settings, dataset: _Dataset, name: str) -> dict[str, object]:
    """Write a fixed part, of bounded size, of everything that is held out."""

    def write_all(writer: SequencesWriter) -> None:
        for ids, learned in dataset.shaper.valid(dataset.parted):
            writer.add(ids, learned)
        if not writer.count:
            reason = f"has nothing to validate on ({dataset.parted.said})"
            raise invalid_dataset(dataset.name, [Problem(dataset.name, None, reason, _HINT)])

    spec = settings.spec
    with _set_aside(settings.folder, name, write_all) as everything:
        drawn = draw_validation(
            everything, most_tokens=spec.validation_tokens, seed=spec.seed, together=dataset.together
        )
        with writing_sequences(settings.folder, name) as writer:
            for index in range(len(drawn)):
                writer.add(*drawn[index])
        return {
            "valid_sequences": writer.count,
            "valid_tokens": writer.tokens,
            "valid_learned_tokens": writer.learned,
            "held_out_sequences": len(everything),
            "held_out_tokens": len(everything.tokens),
        }


@contextmanager
def _set_aside(folder: Path, name: str, write: Callable[[SequencesWriter], None]) -> Iterator[Sequences]:
    """Sequences that are needed while the corpus is built and not kept."""
    hidden = f"{PARTIAL}{name}"
    try:
        with writing_sequences(folder, hidden) as writer:
            write(writer)
        yield read_sequences(folder, hidden)
    finally:
        remove_sequences(folder, hidden)


_GENERAL = "general"
_HINT = "Add data, or raise max_seq_length where the answers are cut off."


def _check_ids(name: str, largest: int, vocab_size: int) -> None:
    """MLX reads garbage for an id beyond the embedding, and does not complain."""
    if largest >= vocab_size:
        raise InvalidDataset(
            f"dataset {name} has token {largest}, and the model's vocabulary ends at {vocab_size - 1}",
            details={"dataset": name, "token": largest, "vocab_size": vocab_size},
            suggestion="The tokenizer does not belong to this model: copy or download the model again.",
        )


def _fewer_than_a_batch(dataset: _Dataset, count: int, batch_size: int) -> InvalidDataset:
    name, what = dataset.name, "pairs" if dataset.together > 1 else "sequences"
    reason = f"gives {count} {what} to train on, fewer than one batch of {batch_size}"
    hint = "Lower batch_size, lower max_seq_length, or add data."
    return invalid_dataset(name, [Problem(name, None, reason, hint)])
