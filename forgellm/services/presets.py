"""Training presets: fields of a spec under a name, those that come with the product and a person's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from forgellm.domain.errors import InvalidField, PresetNotFound, nearest
from forgellm.domain.spec import check_values
from forgellm.services.parts import Parts
from forgellm.storage.presets import Preset, read_presets, remove_preset, write_preset

KIND = "training"
TrainingType = Literal["cpt", "ift"]


@dataclass(frozen=True)
class TrainingPreset:
    """`values` are fields of a spec; `training_type` is None where it suits both."""

    name: str
    description: str
    training_type: TrainingType | None
    values: Mapping[str, object]
    built_in: bool


_SMALL = {
    "batch_size": 1,
    "grad_accumulation_steps": 4,
    "max_seq_length": 512,
    "num_layers": 8,
    "lora_rank": 8,
    "grad_checkpoint": True,
    "validation_tokens": 16_384,
}
_QUICK = {"max_iterations": 100, "eval_every": 25, "save_every": 25, "validation_tokens": 8192}
_CAREFUL = {
    "lora_rank": 32,
    "warmup_steps": 50,
    "early_stopping_patience": 5,
    "overfitting_threshold": 0.1,
    "validation_tokens": 65_536,
}

BUILT_IN = (
    TrainingPreset(
        "cpt quick",
        "A first look in minutes: does the loss fall on these documents?",
        "cpt",
        {**_QUICK, "learning_rate": 1e-4},
        built_in=True,
    ),
    TrainingPreset(
        "cpt careful",
        "For a model to keep: a low rate, many validations, an end when it no longer gets better.",
        "cpt",
        {**_CAREFUL, "learning_rate": 2e-5, "max_iterations": 2000, "eval_every": 50, "save_every": 100},
        built_in=True,
    ),
    TrainingPreset(
        "cpt small",
        "Where memory is short: one short sequence at a time, few blocks, activations computed twice.",
        "cpt",
        {**_SMALL, "learning_rate": 5e-5},
        built_in=True,
    ),
    TrainingPreset(
        "ift quick",
        "A first look in minutes: does it pick up the form of the answers?",
        "ift",
        {**_QUICK, "learning_rate": 2e-4},
        built_in=True,
    ),
    TrainingPreset(
        "ift careful",
        "For a model to keep: three passes over the examples at most, an end when it no longer gets better.",
        "ift",
        {**_CAREFUL, "learning_rate": 5e-5, "epochs": 3.0, "eval_every": 25, "save_every": 50},
        built_in=True,
    ),
    TrainingPreset(
        "ift small",
        "Where memory is short: one short sequence at a time, few blocks, activations computed twice.",
        "ift",
        {**_SMALL, "learning_rate": 1e-4},
        built_in=True,
    ),
    TrainingPreset(
        "ift preferences",
        "From chosen and rejected answers: a low rate, one pass at most, for a model that answers already.",
        "ift",
        {
            "objective": "dpo",
            "learning_rate": 1e-5,
            "epochs": 1.0,
            "eval_every": 25,
            "save_every": 50,
            "early_stopping_patience": 5,
        },
        built_in=True,
    ),
)


def presets(parts: Parts) -> list[TrainingPreset]:
    """Those that come with the product first, then a person's own by name."""
    return [*BUILT_IN, *(_own(preset) for preset in read_presets(parts.workspace, KIND))]


def save(parts: Parts, name: str, *, description: str, values: Mapping[str, object]) -> TrainingPreset:
    """Keep fields under a name, in place of what has it. Raises InvalidField, DiskFull, ReadOnly."""
    _refuse_built_in(name)
    # What a preset leaves out, even a model, is chosen when it is used.
    checked, problems = check_values(values)
    problems = [p for p in problems if p.details["field"] in values]
    if problems:
        raise problems[0]
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in checked.items()}
    preset = Preset(name, description, plain)
    write_preset(parts.workspace, KIND, preset)
    return _own(preset)


def remove(parts: Parts, name: str) -> None:
    """Forget a person's own preset. Raises PresetNotFound, InvalidField for one of the product's."""
    _refuse_built_in(name)
    if not remove_preset(parts.workspace, KIND, name):
        near = nearest(name, [preset.name for preset in presets(parts)])
        raise PresetNotFound(
            f"there is no preset {name!r:.120}",
            details={"preset": name[:100], "nearest": near},
            suggestion=f"Did you mean {near}?" if near else "GET /api/presets lists them.",
        )


def _refuse_built_in(name: str) -> None:
    if any(preset.name == name for preset in BUILT_IN):
        raise InvalidField(
            f"{name} comes with ForgeLLM and stays as it is",
            details={"field": "name"},
            suggestion="Keep your own under another name.",
        )


def _own(preset: Preset) -> TrainingPreset:
    """The file may come from anywhere: what no spec would take is left out."""
    values = {name: preset.values[name] for name in check_values(preset.values)[0]}
    kind = cast("TrainingType | None", values.get("training_type"))
    return TrainingPreset(preset.name, preset.description, kind, values, built_in=False)
