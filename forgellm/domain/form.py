"""How the fields of a TrainingSpec stand in a form: their sections, units, and which of them everybody sees.

What may be written into them is `spec`'s part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from forgellm.domain.fields import Field
from forgellm.domain.spec import TrainingSpec, defaults, field_type, fields, required_fields

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "model and data": (
        "training_type",
        "objective",
        "dpo_beta",
        "model_name",
        "start_from",
        "dataset",
        "general_dataset",
        "data_mixture_ratio",
    ),
    "length of the run": (
        "max_iterations",
        "epochs",
        "batch_size",
        "packing",
        "grad_accumulation_steps",
        "max_seq_length",
        "chunk_overlap",
    ),
    "learning rate": ("learning_rate", "lr_schedule", "warmup_steps", "lr_final_factor"),
    "what learns": (
        "fine_tune_type",
        "num_layers",
        "lora_rank",
        "lora_scale",
        "lora_init",
        "lora_dropout",
        "lora_keys",
        "train_also",
    ),
    "optimiser": ("optimizer", "weight_decay", "max_grad_norm", "grad_checkpoint", "seed"),
    "more than one machine": ("hosts",),
    "validation and checkpoints": (
        "eval_every",
        "save_every",
        "validation_fraction",
        "validation_tokens",
        "keep_checkpoints",
        "sample_prompts",
    ),
    "stopping early": ("early_stopping_patience", "early_stopping_min_delta", "overfitting_threshold"),
}

_SIMPLE = {
    "training_type",
    "objective",
    "model_name",
    "dataset",
    "max_iterations",
    "batch_size",
    "max_seq_length",
    "learning_rate",
    "fine_tune_type",
    "lora_rank",
    "save_every",
    "sample_prompts",
}

_UNITS = {
    "data_mixture_ratio": "share",
    "max_iterations": "iterations",
    "epochs": "passes",
    "batch_size": "sequences",
    "packing": "tokens",
    "grad_accumulation_steps": "batches",
    "max_seq_length": "tokens",
    "chunk_overlap": "tokens",
    "warmup_steps": "iterations",
    "lr_final_factor": "share",
    "num_layers": "blocks",
    "lora_dropout": "share",
    "eval_every": "iterations",
    "save_every": "iterations",
    "validation_fraction": "share",
    "validation_tokens": "tokens",
    "keep_checkpoints": "checkpoints",
    "early_stopping_patience": "validations",
    "early_stopping_min_delta": "nats per token",
    "overfitting_threshold": "share",
}

Type = Literal["integer", "number", "boolean", "text", "list"]
_TYPES: Mapping[type, Type] = {int: "integer", float: "number", bool: "boolean", str: "text"}


@dataclass(frozen=True)
class FormField:
    """One field as a form needs it. `default` is None also where `required` says that there is none."""

    name: str
    section: str
    simple: bool
    type: Type
    unit: str | None
    required: bool
    nullable: bool
    default: object
    field: Field


def form() -> list[FormField]:
    """Every field, section by section."""
    return [_form_field(name, section) for section, names in SECTIONS.items() for name in names]


def changed_fields(spec: TrainingSpec) -> list[str]:
    """The optional fields that are not at their defaults."""
    usual = defaults()
    return [name for name, default in usual.items() if _plain(getattr(spec, name)) != default]


def _form_field(name: str, section: str) -> FormField:
    kind = field_type(name)
    return FormField(
        name=name,
        section=section,
        simple=name in _SIMPLE,
        type="list" if kind.many else _TYPES[kind.scalar],
        unit=_UNITS.get(name),
        required=name in required_fields(),
        nullable=kind.optional,
        default=defaults().get(name),
        field=fields()[name],
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
