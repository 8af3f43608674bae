"""How much a run will have to train on: as an earlier run counted it, else by the size of the files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.extent import sequence_length, total_iterations, usual_length
from forgellm.domain.metrics import prefers
from forgellm.domain.rows import batches_per_epoch
from forgellm.domain.runs import Run
from forgellm.domain.spec import TrainingSpec, defaults
from forgellm.services.datasets import BYTES_PER_TOKEN
from forgellm.services.parts import Parts
from forgellm.services.space import HARDLY_TEXT
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.files import read_json
from forgellm.storage.models import ModelFolder, context_length, fingerprint
from forgellm.storage.runs import list_runs, run_folder

_SHAPING = (
    "training_type",
    "objective",
    "dataset",
    "general_dataset",
    "data_mixture_ratio",
    "validation_fraction",
    "validation_tokens",
)
_LINES_COUNTED = 64 * 2**20
"""Bytes of a file of rows; counting the lines of a larger one would take longer than anyone waits."""


@dataclass(frozen=True)
class ExpectedData:
    """`exact` counts come from an earlier run on the same data; else they follow from the size of the files.

    `sequences` are pairs where preferences are learned; `longest` is the longest sequence in tokens.
    """

    sequences: int
    tokens: int
    longest: int
    valid_tokens: int
    exact: bool
    basis: str

    @property
    def tokens_per_sequence(self) -> float:
        return self.tokens / max(self.sequences, 1)

    def tokens_per_row(self, spec: TrainingSpec) -> float:
        """Of a pair each side is a row."""
        return self.tokens_per_sequence / (2 if prefers(vars(spec)) else 1)


@dataclass(frozen=True)
class Course:
    """How long the run is: `epochs` are passes over the data, `trained_tokens` what all iterations see."""

    iterations: int
    epochs: float | None
    trained_tokens: int | None


def expected_data(parts: Parts, spec: TrainingSpec, base: ModelFolder) -> ExpectedData | None:
    """What `spec` will train on; None where not even the size of the data says it.

    Raises DatasetNotFound, InvalidPath, InvalidField.
    """
    length = sequence_length(spec, context_length(base.config))
    known = list_datasets(parts.workspace)
    folders = [find_dataset(parts.workspace, spec.dataset)]
    # The sample's general data may have to be brought first.
    folders += [find_dataset(parts.workspace, n) for n in known if n == spec.general_dataset]
    return _counted(parts, spec, base, length=length, folders=folders) or _guessed(spec, folders[0], length)


def course(spec: TrainingSpec, data: ExpectedData | None) -> Course | None:
    """How long the run is; None where it is given in epochs and the data is not known.

    Raises InvalidField where the epochs are fewer batches than one iteration takes.
    """
    if data is None:
        iterations = None if spec.epochs is not None else total_iterations(spec, 1)
        return None if iterations is None else Course(iterations, None, None)
    batches = batches_per_epoch(spec, sequences=data.sequences, tokens=data.tokens)
    iterations = total_iterations(spec, batches)
    passed = iterations * spec.grad_accumulation_steps
    trained = passed * data.tokens / batches
    return Course(iterations, passed / batches, round(trained))


def _counted(
    parts: Parts, spec: TrainingSpec, base: ModelFolder, *, length: int, folders: list[Path]
) -> ExpectedData | None:
    known, usual = fingerprint(base.path), defaults()
    changed = max((_changed(folder) for folder in folders), default=0.0)
    for run in reversed(list_runs(parts.workspace)):
        if not run.kind.trains or run.base_fingerprint != known or run.created.timestamp() <= changed:
            continue
        if (
            all(run.spec.get(name, usual.get(name)) == getattr(spec, name) for name in _SHAPING)
            and _length(run, base) == length
        ):
            found = _summary(run_folder(parts.workspace, run))
            if found is not None:
                return _from_summary(found, run)
    return None


def _length(run: Run, base: ModelFolder) -> int | None:
    given, context = run.spec.get("max_seq_length"), context_length(base.config)
    if given is None:
        return usual_length(context)
    return given if isinstance(given, int) else None


def _summary(folder: Path) -> Mapping[str, object] | None:
    try:
        manifest = read_json(folder / "corpus" / "corpus.json")
    except (OSError, ValueError):
        return None
    found = manifest.get("summary") if isinstance(manifest, dict) else None
    return found if isinstance(found, dict) else None


def _from_summary(found: Mapping[str, object], run: Run) -> ExpectedData | None:
    items = "train_pairs" if "train_pairs" in found else "train_sequences"
    names = (items, "train_tokens", "longest_sequence", "valid_tokens")
    counts = [value for name in names if type(value := found.get(name)) is int]
    if len(counts) != len(names) or counts[0] < 1:
        return None
    sequences, tokens, longest, valid = counts
    general = found.get("general")
    if isinstance(general, dict) and type(mixed_in := general.get("longest_sequence")) is int:
        longest = max(longest, mixed_in)
    return ExpectedData(sequences, tokens, longest, valid, True, f"counted for run {run.id}")


def _guessed(spec: TrainingSpec, folder: Path, length: int) -> ExpectedData | None:
    """By four bytes a token; None where a document is hardly text. General data that is mixed in comes on top
    of the domain's share."""
    files = [path for path in _files(folder) if not _is_held_out(path, folder)]
    if spec.training_type == "cpt" and any(path.suffix.lower() in HARDLY_TEXT for path in files):
        return None
    size = sum(path.stat().st_size for path in files)
    own_valid = any(_is_held_out(path, folder) for path in _files(folder))
    kept = 1.0 if own_valid else 1.0 - spec.validation_fraction
    tokens = round(size / BYTES_PER_TOKEN * kept / spec.data_mixture_ratio)
    rows = math.ceil(tokens / length) if spec.training_type == "cpt" else _rows(files, kept)
    if not tokens or not rows:
        return None
    return ExpectedData(
        sequences=rows,
        tokens=min(tokens, rows * length * (2 if prefers(vars(spec)) else 1)),
        longest=length,
        valid_tokens=min(
            spec.validation_tokens, round(size / BYTES_PER_TOKEN * (1 - kept)) or spec.validation_tokens
        ),
        exact=False,
        basis=f"estimated from {size:,} bytes at {BYTES_PER_TOKEN} a token",
    )


def _rows(files: list[Path], kept: float) -> int | None:
    rows = [path for path in files if path.suffix == ".jsonl"]
    if not rows or sum(path.stat().st_size for path in rows) > _LINES_COUNTED:
        return None
    return round(sum(_lines(path) for path in rows) * kept)


def _lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for line in file if line.strip())


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _is_held_out(path: Path, folder: Path) -> bool:
    held = ("valid", "heldout", "test")
    return path.stem in held or path.relative_to(folder).parts[0] in held


def _changed(folder: Path) -> float:
    """When a file of the dataset was last written, added or taken away."""
    latest = 0.0
    for path in (folder, *folder.rglob("*")):
        # It may have gone since its name was read, and what a link leads to may not be there.
        with suppress(FileNotFoundError):
            latest = max(latest, path.lstat().st_mtime)
    return latest
