"""What is wrong, or unusual, with a run that is about to be started, in words that say what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from forgellm.data.sources import check_dataset
from forgellm.domain.errors import ForgeError, HostLost, OutOfMemory, RunConflict, nearest
from forgellm.domain.hosts import parse_hosts
from forgellm.domain.spec import TrainingSpec
from forgellm.jobs.hostfile import located
from forgellm.services.adaptable import is_mixture, names_in_blocks, stacked, unknown_key
from forgellm.services.browsing import count
from forgellm.services.current import current
from forgellm.services.expected_data import Course, ExpectedData
from forgellm.services.fitting import Way
from forgellm.services.learnable import Module, learnable, modules_of, narrowest
from forgellm.services.memory import Machine, MemoryEstimate, fit, usable
from forgellm.services.parts import Parts
from forgellm.services.space import SMALLEST_ROOM
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.liveness import state
from forgellm.storage.models import ModelFolder, has_chat_template, is_quantized
from forgellm.storage.runs import run_folder

Level = Literal["problem", "warning", "note"]

_READ_AT_ONCE = 2 * 10**6
"""Bytes of a dataset whose rows are looked at while somebody waits; those of larger ones at the start."""
_SHOWN = 5
_MANY_EPOCHS = 10
_USUAL_RATES = {"lora": (1e-6, 1e-3), "dora": (1e-6, 1e-3), "full": (1e-7, 1e-4)}


@dataclass(frozen=True)
class Finding:
    """A `problem` keeps the run from starting or will end it; a `warning` may; a `note` is good to know.

    `code` is that of the error it would be, or a word of its own; `field` is the one to change.
    """

    level: Level
    code: str
    message: str
    suggestion: str
    field: str | None = None


def refusal(error: ForgeError, *, field: str | None = None) -> Finding:
    """The finding for what `start` would refuse with `error`."""
    named = error.details.get("field")
    return Finding(
        "problem", error.code, error.message, error.suggestion, named if isinstance(named, str) else field
    )


def of_data(parts: Parts, spec: TrainingSpec, data: ExpectedData | None) -> Iterator[Finding]:
    """Rows that cannot be read, and fewer of them than one batch."""
    known = list_datasets(parts.workspace)
    for name in (spec.dataset, *(n for n in known if n == spec.general_dataset)):
        folder = find_dataset(parts.workspace, name)
        if count(folder)[1] > _READ_AT_ONCE:
            message = f"the rows of {name} are checked when the run is started: it is large"
            yield Finding("note", "NOT_CHECKED", message, "The dataset's own report checks them.", "dataset")
            continue
        for problem in check_dataset(folder, spec=spec)[:_SHOWN]:
            place = problem.file if problem.line is None else f"{problem.file}, line {problem.line}"
            yield Finding(
                "problem", "INVALID_DATASET", f"{place}: {problem.reason}", problem.suggestion, "dataset"
            )
    if data is not None and data.sequences < spec.batch_size:
        yield Finding(
            "problem" if data.exact else "warning",
            "TOO_FEW_SEQUENCES",
            f"about {data.sequences} sequences to train on are fewer than one batch of {spec.batch_size}",
            "Lower batch_size, lower max_seq_length, or add data.",
            "batch_size",
        )


def of_model(spec: TrainingSpec, base: ModelFolder) -> Iterator[Finding]:
    """What the base model does not take."""
    whole = "fine_tune_type" if spec.fine_tune_type == "full" else "train_also" if spec.train_also else None
    if whole and is_quantized(base.config):
        yield Finding(
            "problem",
            "INVALID_FIELD",
            f"{whole} needs whole weights, but {base.name} is quantized",
            "Use lora or dora without train_also, or a base that is not quantized.",
            whole,
        )
    if spec.lora_init == "pissa":
        yield from _of_principal_factors(spec, base)
    if spec.fine_tune_type != "full" and spec.num_layers != 0:
        yield from _of_factors(spec, base)
    if (
        whole
        and base.config.get("torch_dtype") == "float16"
        and spec.optimizer in ("adamw", "adam", "adafactor")
    ):
        yield Finding(
            "problem",
            "INVALID_FIELD",
            f"{spec.optimizer} cannot train whole float16 weights",
            "Use lora without train_also, or a bfloat16 copy of the model.",
            "optimizer",
        )
    if spec.training_type == "ift" and not has_chat_template(base.path):
        yield Finding(
            "note",
            "NO_CHAT_TEMPLATE",
            f"{base.name} has no chat template: a plain one (User:, Assistant:) is used",
            "To keep a model's own form of conversation, train an instruct model.",
            "model_name",
        )


def _of_factors(spec: TrainingSpec, base: ModelFolder) -> Iterator[Finding]:
    """Modules that are named and not there, or that cannot have what they would be given."""
    if not spec.lora_keys and spec.fine_tune_type != "dora":
        return
    modules = modules_of(base)
    missing = unknown_key(modules, keys := spec.lora_keys or ())
    if missing is not None:
        yield _unknown_key(missing, base, modules)
    elif keys and {*keys} <= {*names_in_blocks(modules)} and learnable(base, spec).parameters == 0:
        message = f"nothing would learn: the last {spec.num_layers} blocks have no {', '.join(keys)}"
        yield Finding("problem", "INVALID_FIELD", message, "Use -1 for all blocks.", "num_layers")
    experts = stacked(modules, spec.lora_keys) if spec.fine_tune_type == "dora" else None
    if experts is not None:
        message = f"fine_tune_type dora is not possible for the experts of {base.name}, such as {experts}"
        way_out = "Use fine_tune_type lora, or name other modules in lora_keys."
        yield Finding("problem", "INVALID_FIELD", message, way_out, "fine_tune_type")


def _unknown_key(key: str, base: ModelFolder, modules: Sequence[Module]) -> Finding:
    """A problem, but where a module may have another name than its weights: in a mixture of experts."""
    known = names_in_blocks(modules)
    near = nearest(key, known)
    return Finding(
        "warning" if is_mixture(base) else "problem",
        "INVALID_FIELD",
        f"lora_keys: {base.name} has no module {key!r:.80}",
        (f"Did you mean {near}? " if near else "") + f"A block of it has: {', '.join(known)}.",
        "lora_keys",
    )


def _of_principal_factors(spec: TrainingSpec, base: ModelFolder) -> Iterator[Finding]:
    if is_quantized(base.config):
        yield Finding(
            "problem",
            "INVALID_FIELD",
            f"lora_init pissa needs whole weights, but {base.name} is quantized",
            "Use lora_init default, or a base that is not quantized.",
            "lora_init",
        )
        return
    name, most = narrowest(base, num_layers=spec.num_layers, lora_keys=spec.lora_keys) or ("", spec.lora_rank)
    if spec.lora_rank > most:
        yield Finding(
            "problem",
            "INVALID_FIELD",
            f"lora_rank is {spec.lora_rank}, and {name} has only {most} singular values",
            f"Use at most {most} with lora_init pissa.",
            "lora_rank",
        )


def of_settings(spec: TrainingSpec, length: Course | None) -> Iterator[Finding]:
    """Settings that are allowed and seldom meant."""
    low, high = _USUAL_RATES[spec.fine_tune_type]
    if spec.optimizer != "sgd" and not low <= spec.learning_rate <= high:
        much = "high: the loss may diverge" if spec.learning_rate > high else "low: little will be learned"
        yield Finding(
            "warning",
            "UNUSUAL_LEARNING_RATE",
            f"a learning rate of {spec.learning_rate:g} is {much}",
            f"With {spec.fine_tune_type}, {low:g} to {high:g} is usual.",
            "learning_rate",
        )
    if length is None:
        return
    if spec.warmup_steps >= length.iterations:
        yield Finding(
            "warning",
            "LONG_WARMUP",
            f"the run ends after {length.iterations} iterations, and the warm-up takes {spec.warmup_steps}",
            "Use at most a tenth of the iterations.",
            "warmup_steps",
        )
    if length.epochs is not None and length.epochs > _MANY_EPOCHS:
        yield Finding(
            "warning",
            "MANY_EPOCHS",
            f"the run passes {length.epochs:.0f} times over the data, which it may learn by heart",
            "Lower max_iterations, set early_stopping_patience, or add data.",
            "epochs" if spec.epochs is not None else "max_iterations",
        )
    if length.iterations < spec.save_every:
        yield Finding(
            "note",
            "ONE_CHECKPOINT",
            f"there will be one checkpoint, the last one: save_every is {spec.save_every}",
            "Lower save_every to have several to choose from.",
            "save_every",
        )


def of_hosts(spec: TrainingSpec) -> Iterator[Finding]:
    """Whether the first machine is this one. No name is looked up: that may take longer than anyone waits."""
    hosts = parse_hosts(spec.hosts)
    if not hosts or not hosts[0].addresses:
        return
    try:
        located([host for host in hosts if host.addresses])
    except HostLost as error:
        # The addresses of a machine may change until the run is started.
        yield Finding("warning", error.code, error.message, error.suggestion, "hosts")


def of_memory(
    spec: TrainingSpec, needed: MemoryEstimate, *, known: Machine, ways: Sequence[Way]
) -> Iterator[Finding]:
    """Whether the machine has enough, and enough of it free; `ways` make it fit."""
    said = f"training will take about {needed.total / 1e9:.1f} GB"
    judged = fit(needed.total, known.limit)
    if judged == "too large":
        message = f"{said}, and {known.limit / 1e9:.1f} GB can be used ({known.note})"
        yield Finding("warning", OutOfMemory.code, message, _way_out(ways), "batch_size")
    elif needed.total > usable(known):
        message = f"{said}, and {known.available / 1e9:.1f} GB are free at this moment"
        way_out = f"Unload the chat model. {_way_out(ways)}"
        yield Finding("warning", OutOfMemory.code, message, way_out, "batch_size")
    elif judged == "tight":
        message = f"{said} of {known.limit / 1e9:.1f} GB"
        yield Finding("note", "MEMORY_TIGHT", message, _relief(spec), "batch_size")


def _relief(spec: TrainingSpec) -> str:
    """What is left to take memory from a run."""
    numbers = {
        "batch_size": spec.batch_size > max(len(spec.hosts), 1),
        "packing": spec.packing is not None,
        "max_seq_length": True,
    }
    lower = " or ".join(name for name, has_room in numbers.items() if has_room)
    checkpoint = "" if spec.grad_checkpoint or spec.lora_dropout > 0 else ", set grad_checkpoint"
    # Whole quantized weights do not learn.
    base = "a smaller base" if spec.fine_tune_type == "full" else "a smaller or quantized base"
    return f"Lower {lower}{checkpoint}, or use {base}."


def _way_out(ways: Sequence[Way]) -> str:
    """The mildest change that helps, by name and value."""
    if not ways:
        return "No change of the settings makes it fit: use a smaller base, or a quantized one."
    changes = ", ".join(f"{name} {str(value).lower()}" for name, value in ways[0].changes.items())
    return f"It would fit, with {ways[0].total / 1e9:.1f} GB, by {changes}."


def of_disk(parts: Parts, checkpoints: int, *, tokens: int) -> Iterator[Finding]:
    """Room for what the run will write: so many bytes of checkpoints and states, and of tokens."""
    free = shutil.disk_usage(parts.workspace.root).free
    if free < checkpoints + tokens + SMALLEST_ROOM:
        yield Finding(
            "problem" if free < SMALLEST_ROOM else "warning",
            "DISK_FULL",
            f"checkpoints and states will take {checkpoints / 1e6:,.0f} MB, the data in tokens about "
            f"{tokens / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free",
            "Free some space, set keep_checkpoints, or save less often.",
            "keep_checkpoints",
        )


def of_queue(parts: Parts, *, queued: bool) -> Iterator[Finding]:
    """Whether another run trains or waits."""
    run = current(parts)
    now = None if run is None else state(run_folder(parts.workspace, run))
    if run is None or now is None or not now.is_active:
        return
    if queued:
        message = f"run {run.id} is {now.value}: this one waits in the queue"
        yield Finding("note", "QUEUED", message, "It starts by itself.")
    else:
        message = f"run {run.id} is {now.value}"
        yield Finding(
            "problem", RunConflict.code, message, "Wait for it, stop it, or queue this run.", "queue"
        )
