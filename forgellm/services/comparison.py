"""Several runs side by side: their curves, how steadily and how generally they learned, where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from forgellm.data.token_files import hash_of
from forgellm.domain.checkpoints import Checkpoint, is_tie
from forgellm.domain.errors import ResumeMismatch
from forgellm.domain.metrics import (
    GapBand,
    Series,
    VariationBand,
    gap_band,
    last_gap,
    perplexity,
    prefers,
    thin,
    variation,
    variation_band,
)
from forgellm.domain.runs import Run, RunState
from forgellm.domain.spec import defaults
from forgellm.services import runs
from forgellm.services.measurements import last_measured, measured_series
from forgellm.services.parts import Parts
from forgellm.services.progress import measured
from forgellm.storage.events import last_event
from forgellm.storage.files import read_json
from forgellm.storage.runs import run_folder

DRAWN = ("training_loss", "validation_loss", "general_validation_loss", "learning_rate", "tokens_per_second")
_KEPT = 64


@dataclass(frozen=True)
class Compared:
    """One run. Losses in nats per token; `corpus` and `validation_set` are hashes, None without one.

    `training_seconds` is None until the run ends; `peak_memory_gb` is that of its last process.
    """

    run: Run
    state: RunState
    curves: Mapping[str, Series]
    variation: float | None
    variation_band: VariationBand | None
    gap: float | None
    gap_band: GapBand | None
    best: Sequence[Checkpoint]
    initial_validation_loss: float | None
    tokens_per_second: float | None
    peak_memory_gb: float | None
    trained_tokens: int | None
    training_seconds: float | None
    corpus: str | None
    validation_set: str | None


@dataclass(frozen=True)
class Place:
    """A run's place by the validation loss of its best checkpoint; `tied` is within one standard error."""

    run: str
    iteration: int
    validation_loss: float
    tied: bool


@dataclass(frozen=True)
class Comparison:
    """`differences` are fields of the specs: name → value of each run, in their order.

    `ranking` is None where the losses were measured on different data or tokens; `warnings` say why.
    """

    runs: list[Compared]
    differences: Mapping[str, list[object]]
    warnings: list[str]
    ranking: list[Place] | None


def compare(parts: Parts, chosen: Sequence[Run], *, points: int) -> Comparison:
    """The runs side by side, each curve thinned to at most `points`, its peaks kept."""
    compared = [_compared(parts, run, points=points) for run in chosen]
    warnings = list(_warnings(compared))
    same = len({_measure(c) for c in compared}) == 1 and compared[0].validation_set is not None
    return Comparison(
        runs=compared,
        differences=_differences(chosen),
        warnings=warnings,
        ranking=_ranking(compared) if same else None,
    )


def _compared(parts: Parts, run: Run, *, points: int) -> Compared:
    status, folder = runs.status(parts, run), run_folder(parts.workspace, run)
    shape = _shape(folder, (run.id, last_measured(parts, run)), points=points, preferences=prefers(run.spec))
    last, end = last_event(folder, ("train",)) or {}, status.progress.end or {}
    tokens, seconds = measured(last.get("trained_tokens")), measured(end.get("training_seconds"))
    return Compared(
        run=run,
        state=status.state,
        curves=shape.curves,
        variation=shape.variation,
        variation_band=variation_band(shape.variation),
        gap=shape.gap,
        gap_band=gap_band(shape.gap),
        best=[c for c in status.checkpoints if c.rank is not None][:3],
        initial_validation_loss=shape.initial,
        tokens_per_second=tokens / seconds if tokens and seconds else shape.tokens_per_second,
        peak_memory_gb=measured(last.get("peak_memory_gb")),
        trained_tokens=None if tokens is None else int(tokens),
        training_seconds=seconds,
        corpus=_corpus(folder),
        validation_set=_validation_set(folder),
    )


@dataclass(frozen=True)
class _Shape:
    """What the measurements of one run come to."""

    curves: Mapping[str, Series]
    variation: float | None
    gap: float | None
    initial: float | None
    tokens_per_second: float | None


@lru_cache(maxsize=_KEPT)
def _shape(folder: Path, upto: tuple[str, int], *, points: int, preferences: bool) -> _Shape:
    """Kept until an event follows that of `upto` (run, seq): a page asks every few seconds while one runs."""
    found = measured_series(folder)
    drawn = {key: found[key] for key in DRAWN}
    known = [] if preferences else [(i, perplexity(loss)) for i, loss in drawn["validation_loss"]]
    drawn["perplexity"] = [(i, value) for i, value in known if value is not None]
    return _Shape(
        curves={key: thin(curve, points) for key, curve in drawn.items()},
        variation=variation(drawn["training_loss"]),
        gap=last_gap(drawn["training_loss"], drawn["validation_loss"]),
        initial=dict(drawn["validation_loss"][:1]).get(0),
        tokens_per_second=_mean(drawn["tokens_per_second"]),
    )


def _mean(points: Series) -> float | None:
    return sum(value for _, value in points) / len(points) if points else None


def _corpus(folder: Path) -> str | None:
    try:
        manifest = read_json(folder / "corpus" / "corpus.json")
    except (OSError, ValueError):
        return None
    found = manifest.get("fingerprint") if isinstance(manifest, dict) else None
    return found if isinstance(found, str) else None


def _validation_set(folder: Path) -> str | None:
    """A hash over the tokens that a run is validated on; losses on others cannot be compared."""
    try:
        return hash_of(folder / "corpus", ["valid"], {})
    except ResumeMismatch:
        return None


def _measure(one: Compared) -> tuple[object, ...]:
    """What a validation loss is of: of preferences it depends on beta and on the base as well."""
    spec = one.run.spec
    base = one.run.base_fingerprint or spec.get("model_name")
    return one.validation_set, *((spec.get("dpo_beta"), base) if prefers(spec) else ())


def _differences(chosen: Sequence[Run]) -> Mapping[str, list[object]]:
    usual = defaults()
    names = dict.fromkeys([*usual, *(name for run in chosen for name in run.spec)])
    values = {name: [run.spec.get(name, usual.get(name)) for run in chosen] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def _warnings(compared: Sequence[Compared]) -> list[str]:
    def differ(of: Sequence[object]) -> bool:
        return any(value != of[0] for value in of)

    found = []
    bases = [c.run.base_fingerprint or c.run.spec.get("model_name") for c in compared]
    if differ(bases):
        found.append("The base models differ: with another tokenizer a loss per token means something else.")
    if any(c.validation_set is None for c in compared):
        found.append("A run has no validation set yet, or it was deleted: it has no place in the ranking.")
    elif differ([c.validation_set for c in compared]):
        found.append(
            "The validation sets differ, so the validation losses cannot be compared with each other."
        )
    elif differ([_measure(c) for c in compared]):
        found.append("dpo_beta or the base model differ, so the losses of preferences cannot be compared.")
    if differ([c.run.spec.get("dataset") for c in compared]):
        found.append("The datasets differ.")
    elif differ([c.corpus for c in compared]):
        found.append(
            "The data differ, although the dataset has the same name: it was changed, or is split, mixed, "
            "cut or validated on in another way."
        )
    return found


def _ranking(compared: Sequence[Compared]) -> list[Place]:
    best = [(c.run.id, c.best[0]) for c in compared if c.best]
    best.sort(key=lambda pair: (pair[1].validation_loss, pair[0]))
    places = []
    for n, (run, checkpoint) in enumerate(best):
        loss = checkpoint.validation_loss
        if loss is not None:
            places.append(Place(run, checkpoint.iteration, loss, tied=False))
            places[-1] = replace(places[-1], tied=n > 0 and is_tie(best[0][1], checkpoint))
    return places
