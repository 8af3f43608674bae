"""The validated wish that starts a training run: fields, units, bounds, defaults.

One table of fields serves the command line, YAML, the API and the page: a dataclass whose fields carry
their own bounds and help. Nothing here looks at a file; whether the model or dataset exists is found later.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from forgellm.domain.errors import InvalidField, nearest
from forgellm.domain.fields import Field, Kind, check
from forgellm.domain.hosts import check_hosts

_TYPES = ("cpt", "ift")


def _field(default: object, help: str, typical: str = "", **bounds: object) -> typing.Any:
    metadata = {"field": Field(help, typical, **bounds)}  # type: ignore[arg-type]
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _required(help: str, typical: str = "", **bounds: object) -> typing.Any:
    return _field(dataclasses.MISSING, help, typical, **bounds)


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that decides a training run. Build it with `parse_spec`, which checks and explains.

    An iteration is one optimiser update; `batch_size` is in sequences, with `packing` in so many tokens each;
    losses are nats per token.
    """

    model_name: str = _required("Hub id in the local cache, or a workspace path", "models/base/NAME")
    training_type: str = _required("continued pre-training or instruction fine-tuning", choices=_TYPES)
    dataset: str = _required("name of a folder under dataset/")
    objective: str = _field(
        "likelihood",
        "what is learned (ift): to give the answers, or to prefer the chosen to the rejected ones",
        choices=("likelihood", "dpo"),
    )
    dpo_beta: float = _field(
        0.1, "how strongly dpo holds to the base model", "0.05 to 0.5", above=0.0, maximum=100.0
    )
    general_dataset: str | None = _field(
        None, "general data mixed in and measured, so that forgetting is seen", "general"
    )
    data_mixture_ratio: float = _field(
        1.0,
        "share of the training tokens that comes from the domain dataset",
        "0.8 to 1",
        above=0.0,
        maximum=1.0,
    )
    start_from: str | None = _field(
        None,
        "adapter that goes on learning: a run, run@iteration, or the path of one",
        "cpt_20250115_103045@300",
    )
    fine_tune_type: str = _field(
        "lora", "which weights learn: low-rank factors, DoRA, or all", choices=("lora", "dora", "full")
    )
    num_layers: int = _field(
        -1, "how many of the last blocks learn; -1 for all", "-1, or 8 to 16", minimum=-1
    )
    lora_rank: int = _field(16, "rank of the low-rank factors", "8 to 64", minimum=1, maximum=4096)
    lora_scale: float = _field(
        2.0, "factor on the low-rank product; alpha / rank elsewhere", "1 to 20", above=0.0
    )
    lora_init: str = _field(
        "default",
        "how the factors begin: at no change, or at the largest singular values of each matrix (PiSSA)",
        choices=("default", "pissa"),
    )
    lora_dropout: float = _field(
        0.0, "dropout before the low-rank factors", "0 to 0.1", minimum=0.0, maximum=0.9
    )
    lora_keys: tuple[str, ...] | None = _field(
        None, "modules of a block that get factors; all linear ones when empty", "self_attn.q_proj"
    )
    train_also: tuple[str, ...] = _field(
        (), "whole weights that learn too", choices=("embeddings", "norms", "output")
    )
    optimizer: str = _field("adamw", "optimiser", choices=("adamw", "adam", "muon", "sgd", "adafactor"))
    learning_rate: float = _field(5e-5, "peak learning rate", "1e-6 to 1e-3", above=0.0)
    weight_decay: float = _field(
        0.01, "weight decay, decoupled in adamw and muon; adam has none", "0 to 0.1", minimum=0.0, maximum=1.0
    )
    lr_schedule: str = _field(
        "cosine", "shape of the learning rate", choices=("constant", "linear", "cosine")
    )
    warmup_steps: int = _field(0, "iterations of linear warm-up", "0 to 10 % of all", minimum=0)
    lr_final_factor: float = _field(
        0.1, "last learning rate as a share of the peak", "0 to 0.1", minimum=0.0, maximum=1.0
    )
    batch_size: int = _field(
        2, "sequences in one forward pass; pairs of them with dpo", "1 to 8", minimum=1, maximum=4096
    )
    packing: int | None = _field(
        None,
        "a batch holds batch_size times so many tokens; short sequences share rows, unseen by each other",
        "512 to 2048",
        minimum=16,
    )
    grad_accumulation_steps: int = _field(
        1, "batches summed into one iteration", "1 to 16", minimum=1, maximum=4096
    )
    max_grad_norm: float | None = _field(
        1.0, "gradient clipping by global norm; empty for none", "1", above=0.0
    )
    grad_checkpoint: bool = _field(False, "recompute activations: 20 to 45 % less memory, 35 % more time")
    max_iterations: int | None = _field(
        None, "optimiser updates; 500 unless epochs are given", "100 to 5000", minimum=1, maximum=10**9
    )
    epochs: float | None = _field(
        None, "passes over the training data, instead of max_iterations", "1 to 5", above=0.0, maximum=10_000
    )
    max_seq_length: int | None = _field(
        None,
        "tokens in one sequence; 2048 or the model's context, whichever is less",
        "512 to 4096",
        minimum=8,
    )
    chunk_overlap: int = _field(
        0,
        "tokens of a document that its next sequence sees again, as context that is not learned twice",
        "0 to 256",
        minimum=0,
    )
    eval_every: int = _field(50, "iterations between validations", "20 to 200", minimum=1)
    save_every: int = _field(
        50, "iterations between checkpoints, each of them validated", "20 to 200", minimum=1
    )
    validation_fraction: float = _field(
        0.1,
        "share of the dataset held out where it has no file valid.* or folder valid/",
        "0.05 to 0.2",
        above=0.0,
        maximum=0.5,
    )
    validation_tokens: int = _field(
        32_768, "at most this many tokens in the fixed validation set", "16k to 128k", minimum=64
    )
    early_stopping_patience: int | None = _field(
        None, "validations without improvement before the run ends; empty for never", "3 to 10", minimum=1
    )
    early_stopping_min_delta: float = _field(
        0.0, "what counts as an improvement, in nats", "0 to 0.01", minimum=0.0
    )
    overfitting_threshold: float | None = _field(
        None, "relative rise of validation loss over its best that ends the run", "0.05 to 0.3", above=0.0
    )
    keep_checkpoints: int | None = _field(
        None, "checkpoints to keep beside the best three and the newest; empty for all", "3 to 10", minimum=1
    )
    sample_prompts: tuple[str, ...] = _field(
        (),
        "questions (ift) or beginnings of a text (cpt) that every checkpoint answers",
        "2 or 3",
        most=8,
        longest=2000,
    )
    seed: int = _field(0, "seed of data order, initialisation and dropout", minimum=0, maximum=2**32 - 1)
    hosts: tuple[str, ...] = _field(
        (),
        "machines that share the rows of every batch, this one first; none for this one alone",
        "mac1.local,mac2.local",
    )


def fields() -> dict[str, Field]:
    """Every field of TrainingSpec with its help and bounds, in order."""
    return {f.name: f.metadata["field"] for f in dataclasses.fields(TrainingSpec)}


def field_type(name: str) -> Kind:
    """What a field's values are, read from its annotation."""
    hint = typing.get_type_hints(TrainingSpec)[name]
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    optional = type(None) in parts
    inner = next(p for p in parts if p is not type(None))
    if typing.get_origin(inner) is tuple:
        return Kind(str, optional, True)
    return Kind(inner, optional, False)


def defaults() -> dict[str, object]:
    """What the optional fields have when they are left out, as YAML and JSON have it."""
    optional = (f for f in dataclasses.fields(TrainingSpec) if f.default is not dataclasses.MISSING)
    return {f.name: [] if f.default == () else f.default for f in optional}


def parse_spec(values: Mapping[str, object]) -> TrainingSpec:
    """Check every field and build the spec.

    Raises InvalidField naming the field, the value, what would be accepted and, for an unknown field,
    the nearest known name.
    """
    checked, problems = check_values(values)
    if problems:
        raise problems[0]
    return with_implied(TrainingSpec(**checked))  # type: ignore[arg-type]


def check_values(values: Mapping[str, object]) -> tuple[dict[str, object], list[InvalidField]]:
    """The values that each field takes for itself, and what is wrong with the others.

    What fields say together is looked at by `with_implied`.
    """
    known = fields()
    problems = [_unknown(name, known) for name in values if name not in known]
    problems += [_missing(name, known[name]) for name in required_fields() if values.get(name) in (None, "")]
    checked: dict[str, object] = {}
    for name, value in values.items():
        if name not in known or (name in required_fields() and value in (None, "")):
            continue
        try:
            checked[name] = check(name, value, known[name], kind=field_type(name))
        except InvalidField as error:
            problems.append(error)
    return checked, problems


def required_fields() -> tuple[str, ...]:
    """The names of the fields that every spec has to have."""
    return tuple(f.name for f in dataclasses.fields(TrainingSpec) if f.default is dataclasses.MISSING)


def to_dict(spec: TrainingSpec) -> dict[str, object]:
    """Plain values for JSON and YAML, in the order of the fields; `parse_spec` takes them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(spec).items()}


def stopping_values(spec: TrainingSpec) -> tuple[int | None, float, float | None]:
    """(patience, min_delta, overfitting_threshold) for `checkpoints.StoppingRule`."""
    return spec.early_stopping_patience, spec.early_stopping_min_delta, spec.overfitting_threshold


def _unknown(name: str, known: Mapping[str, Field]) -> InvalidField:
    # A key of YAML may be a number.
    near = nearest(str(name), known)
    return InvalidField(
        f"unknown field {name!r}",
        details={"field": name, "nearest": near},
        suggestion=f"Did you mean {near}?" if near else "Known fields: " + ", ".join(known) + ".",
    )


def _missing(name: str, field: Field) -> InvalidField:
    return InvalidField(
        f"{name} is missing", details={"field": name}, suggestion=f"Give {name}: {field.help}."
    )


def with_implied(spec: TrainingSpec) -> TrainingSpec:
    """The spec with what its fields imply. Raises InvalidField where they do not go together."""
    if spec.epochs is not None and spec.max_iterations is not None:
        raise InvalidField(
            "epochs and max_iterations are both given",
            details={"field": "epochs"},
            suggestion="Give one of them: the other follows from it.",
        )
    if spec.epochs is None and spec.warmup_steps >= (spec.max_iterations or DEFAULT_ITERATIONS):
        raise InvalidField(
            f"warmup_steps is {spec.warmup_steps}, and the run ends before the warm-up does",
            details={"field": "warmup_steps"},
            suggestion="Use at most a tenth of max_iterations.",
        )
    if spec.general_dataset is not None and spec.general_dataset == spec.dataset:
        raise InvalidField(
            "general_dataset and dataset are the same",
            details={"field": "general_dataset"},
            suggestion="Name data that is not of the domain, or leave general_dataset out.",
        )
    if spec.grad_checkpoint and spec.lora_dropout > 0:
        # MLX computes a checkpointed block a second time with a new dropout mask: the gradient is that of
        # another function than the loss (measured: even its sign along a direction was wrong).
        raise InvalidField(
            "grad_checkpoint and lora_dropout cannot be used together",
            details={"field": "lora_dropout"},
            suggestion="Leave lora_dropout at 0, or lower max_seq_length or batch_size to save memory.",
        )
    if spec.objective == "dpo":
        _check_dpo(spec)
    if spec.lora_init == "pissa":
        _check_pissa(spec)
    check_hosts(spec.hosts, batch_size=spec.batch_size, lora_init=spec.lora_init)
    if spec.num_layers == 0 and not spec.train_also:
        raise InvalidField(
            "num_layers is 0 and train_also is empty: nothing would learn",
            details={"field": "num_layers"},
            suggestion="Use -1 for all blocks.",
        )
    if spec.data_mixture_ratio < 1.0 and spec.general_dataset is None:
        return dataclasses.replace(spec, general_dataset=DEFAULT_GENERAL_DATASET)
    return spec


def _check_dpo(spec: TrainingSpec) -> None:
    """Pairs of answers have a loss of their own, which is no mean over tokens of anything else."""
    for field, only in (("training_type", "ift"), ("data_mixture_ratio", 1.0), ("packing", None)):
        if getattr(spec, field) != only:
            raise InvalidField(
                f"objective dpo does not go with {field} {getattr(spec, field)}",
                details={"field": "objective", "other": field},
                suggestion=f"Use {field} {only or 'none'}: it trains on preferences alone, each in a row.",
            )


def _check_pissa(spec: TrainingSpec) -> None:
    """The factors are those of the base's own matrices, and what is saved is their change."""
    reasons = {
        "fine_tune_type": "it is for lora" if spec.fine_tune_type != "lora" else None,
        "lora_dropout": "dropout would blank what the base itself does" if spec.lora_dropout > 0 else None,
        "start_from": "an adapter that goes on learning has its factors" if spec.start_from else None,
        "num_layers": "no layer has factors" if spec.num_layers == 0 else None,
    }
    for field, reason in reasons.items():
        if reason is not None:
            raise InvalidField(
                f"lora_init pissa does not go with {field} {getattr(spec, field)}: {reason}",
                details={"field": "lora_init", "other": field},
                suggestion=f"Leave {field} or lora_init out.",
            )


DEFAULT_GENERAL_DATASET = "general"
"""What a mixture ratio below 1 draws on when the spec names no general dataset."""

DEFAULT_ITERATIONS = 500
