"""Starting a training run: whatever can be refused is refused here, before a model is loaded."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from forgellm import __version__
from forgellm.data.problems import invalid_dataset
from forgellm.data.sources import check_dataset
from forgellm.domain.errors import InvalidField, ResumeMismatch, RunConflict
from forgellm.domain.extent import folder_name, sequence_length
from forgellm.domain.run_specs import spec_of
from forgellm.domain.runs import Run, RunKind
from forgellm.domain.spec import DEFAULT_GENERAL_DATASET, TrainingSpec, parse_spec, to_dict
from forgellm.jobs import launcher
from forgellm.services import contents, findings, samples
from forgellm.services.beginnings import check_beginning, continuing
from forgellm.services.browsing import count
from forgellm.services.parts import Parts
from forgellm.services.space import check_space, check_writable
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.files import exclusive
from forgellm.storage.liveness import state
from forgellm.storage.models import ModelFolder, context_length, find_model, fingerprint
from forgellm.storage.runs import create_run, list_runs, move_to_trash, run_folder

# Beyond it documents may be so long that a server should not have them in its memory.
_READ_HERE_BYTES = 16 << 20


def start(parts: Parts, values: Mapping[str, object], *, queue: bool = False) -> Run:
    """Check the wish, create the run and launch it; with `queue` it may wait for the one that trains.

    Raises the ForgeError of whatever is wrong: InvalidField, ModelNotFound, InvalidModel,
    UntrustedModelCode, DatasetNotFound, InvalidDataset, InvalidAdapter, RunNotFound, CheckpointNotFound,
    ReadOnly, DiskFull, and RunConflict where another run is active and `queue` was not asked for.
    """
    spec = _with_general(parts, parse_spec(continuing(parts, values)), values)
    base = find_model(parts.workspace, parts.hub_cache, spec.model_name)
    length = sequence_length(spec, context_length(base.config))
    _check_model(spec, base)
    _check_data(parts, spec)
    check_beginning(parts, spec, base)
    check_space(
        parts.workspace,
        base=base.path,
        fine_tune_type=spec.fine_tune_type,
        datasets=[find_dataset(parts.workspace, name) for name in _datasets(spec)],
    )
    with exclusive(parts.workspace.private / "start.lock"):
        if not queue:
            _refuse_second(parts)
        run = _create(parts, spec, base, max_seq_length=length)
        if not queue:
            _launch(parts, run)
    if queue:
        launcher.launch_next(parts.workspace, environment=parts.environment)
    return run


def resume(parts: Parts, run: Run) -> None:
    """Let a paused, stopped, failed or cut-off training run go on, once what it needs is still there.

    Raises UnknownSpec, ModelNotFound, InvalidModel, ResumeMismatch, ReadOnly, DiskFull, RunConflict.
    """
    if run.kind.trains:
        spec = spec_of(run)
        base = find_model(parts.workspace, parts.hub_cache, spec.model_name)
        if run.base_fingerprint not in (None, fingerprint(base.path)):
            raise ResumeMismatch(
                f"the base model {base.name} changed since {run.id} was created",
                details={"model": base.name, "run": run.id},
                suggestion="Put the original model back, or start a new run.",
            )
        check_writable(run_folder(parts.workspace, run))
    launcher.resume(parts.workspace, run, environment=parts.environment)


def versions() -> dict[str, str]:
    """What a run is made with. Read from the packages' metadata: importing them would load MLX."""
    found = {"forgellm": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("mlx", "mlx-lm", "transformers", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _with_general(parts: Parts, spec: TrainingSpec, values: Mapping[str, object]) -> TrainingSpec:
    """A mixture that names no general data gets the sample's where there is no dataset `general`."""
    unnamed = values.get("general_dataset") in (None, "") and spec.general_dataset is not None
    if not unnamed or DEFAULT_GENERAL_DATASET in list_datasets(parts.workspace):
        return spec
    samples.bring_dataset(parts, samples.GENERAL)
    return replace(spec, general_dataset=samples.GENERAL)


def _check_model(spec: TrainingSpec, base: ModelFolder) -> None:
    for found in findings.of_model(spec, base):
        if found.level == "problem":
            raise InvalidField(found.message, details={"field": found.field}, suggestion=found.suggestion)


def _check_data(parts: Parts, spec: TrainingSpec) -> None:
    for name in _datasets(spec):
        folder = find_dataset(parts.workspace, name)
        if count(folder)[1] <= _READ_HERE_BYTES:
            problems = check_dataset(folder, spec=spec)
        else:
            problems = contents.start_problems(parts, name, spec)
        if problems:
            raise invalid_dataset(name, problems)


def _datasets(spec: TrainingSpec) -> list[str]:
    return [name for name in (spec.dataset, spec.general_dataset) if name is not None]


def _refuse_second(parts: Parts) -> None:
    # The queue stands still when the worker that should have started the next run was killed.
    launcher.launch_next(parts.workspace, environment=parts.environment)
    for run in list_runs(parts.workspace):
        now = state(run_folder(parts.workspace, run))
        if run.kind.trains and now.is_active:
            raise RunConflict(
                f"run {run.id} is {now.value}",
                details={"run": run.id, "state": now.value},
                suggestion="Wait for it, stop it, or queue this run: --queue, in the API queue: true.",
            )


def _launch(parts: Parts, run: Run) -> None:
    try:
        launcher.launch_new(parts.workspace, run, environment=parts.environment)
    except RunConflict:
        move_to_trash(parts.workspace, run)
        raise


def _create(parts: Parts, spec: TrainingSpec, base: ModelFolder, *, max_seq_length: int) -> Run:
    created = parts.clock()
    return create_run(
        parts.workspace,
        RunKind(spec.training_type),
        spec=to_dict(spec),
        name=folder_name(spec, max_seq_length=max_seq_length, created=created),
        created=created,
        versions=versions(),
        base_fingerprint=fingerprint(base.path),
    )
