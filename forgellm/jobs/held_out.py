"""Text that a model can be measured on: what its own run held out, or what a run on a dataset would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import mlx.nn as nn
import numpy as np

from forgellm.data.corpus import build_corpus, load_corpus
from forgellm.data.records import Example
from forgellm.data.sequences import Sequences, choose
from forgellm.data.sources import items
from forgellm.data.token_cache import TokenCache
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import ForgeError
from forgellm.domain.extent import sequence_length
from forgellm.domain.metrics import prefers
from forgellm.domain.spec import parse_spec
from forgellm.jobs.job import Job
from forgellm.storage.datasets import find_dataset
from forgellm.storage.files import read_json, remove_folder
from forgellm.storage.models import ModelFolder, context_length, vocabulary_size
from forgellm.storage.runs import find_run, run_folder
from forgellm.training.losses import Measurement, measure

_LOOKED_AT = 100


class CalledOff(Exception):
    """The run is to stop while it works; caught by its job."""


@dataclass(frozen=True)
class HeldOut:
    """Sequences, and where they come from, in words."""

    sequences: Sequences
    origin: str


def held_out(job: Job, model: ModelFolder, dataset: str | None) -> HeldOut | None:
    """The validation set of the run that is asked about, or that `model` was published from, where it is kept
    and is of `dataset` (of preferences the chosen answers); else what a run with default
    settings on `dataset` holds out. None without either.

    Raises DatasetNotFound, InvalidDataset.
    """
    own = _of_its_run(job, model, dataset)
    if own is not None or dataset is None:
        return own
    folder = find_dataset(job.workspace, dataset)
    spec = parse_spec(
        {"model_name": model.name, "dataset": dataset, "training_type": type_of(folder), "batch_size": 1}
    )
    place = job.folder / "corpus"
    corpus = build_corpus(
        place,
        spec=spec,
        max_seq_length=sequence_length(spec, context_length(model.config)),
        dataset=folder,
        general=None,
        tokenizer=load_tokenizer(model.path),
        vocab_size=vocabulary_size(model.config),
        cache=TokenCache(job.workspace.tokens, attend=lambda share: None),
    )
    kept = in_memory(corpus.valid)
    remove_folder(place)
    return HeldOut(kept, f"what a run on {dataset} with default settings holds out")


def measured(job: Job, model: nn.Module, data: HeldOut, *, phase: str) -> Measurement:
    """The loss of `model` on `data`, under that name of a phase. Raises CalledOff once the run is to stop."""
    job.log.append("phase", phase=phase, total_iterations=len(data.sequences))

    def attend(done: int, _: int) -> None:
        job.log.append("measured", iteration=done)
        if job.control() != "run":
            raise CalledOff

    return measure(model, data.sequences, progress=attend)


def in_memory(sequences: Sequences) -> Sequences:
    """A copy that does not need the files any more."""
    copied = np.array(sequences.tokens), np.array(sequences.learned), np.array(sequences.offsets)
    return Sequences(*copied)


def _of_its_run(job: Job, model: ModelFolder, dataset: str | None) -> HeldOut | None:
    """None where the model tells of no run, or the run has gone or lost its corpus."""
    try:
        asked = job.run.spec.get("run")
        facts = {"run": asked} if asked else read_json(model.path / "published.json")
        run = find_run(job.workspace, str(facts["run"] if isinstance(facts, Mapping) else ""))
        if dataset not in (None, run.spec.get("dataset")):
            return None
        valid, words = load_corpus(run_folder(job.workspace, run) / "corpus").valid, "validation set"
        if prefers(run.spec):
            # Every second one is what was to become less likely.
            valid, words = choose(valid, range(0, len(valid), 2)), "chosen answers in the validation set"
        return HeldOut(valid, f"{words} of {run.id}")
    except (OSError, ValueError, KeyError, ForgeError):
        return None


def type_of(folder: Path) -> str:
    """What a run on the dataset would be: ift where it has examples, cpt where it has documents."""
    first = islice(items(folder, "examples", "train"), _LOOKED_AT)
    return "ift" if any(isinstance(item, Example) for item in first) else "cpt"
