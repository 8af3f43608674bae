"""Before a run is started: its fields, presets, what it will be and what will go wrong with it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, Field

from forgellm.api.routes import Answer, Body, Query, Route
from forgellm.domain.errors import InvalidField
from forgellm.domain.form import Type, form
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.forge import Forge
from forgellm.services import presets as service
from forgellm.services.presets import TrainingPreset
from forgellm.services.spec_text import command_line, read_yaml

_NAME = re.compile(r"[^\x00-\x1f/\\\x7f]{1,60}")


class FormField(BaseModel):
    """A field of the spec as a form shows it. A minimum and a maximum are allowed values, `above` is not."""

    name: str
    section: str
    simple: bool = Field(description="whether everybody sees it, or only who asks for all fields")
    type: Type
    unit: str | None
    required: bool
    nullable: bool
    default: Any
    help: str
    typical: str
    minimum: float | None
    maximum: float | None
    above: float | None
    choices: list[str]
    most: int | None = Field(description="items of a list")
    longest: int | None = Field(description="characters of an item that is free text")


class Form(Answer):
    sections: list[str]
    fields: list[FormField]


class PresetItem(BaseModel):
    name: str
    description: str
    training_type: Literal["cpt", "ift"] | None = Field(description="null where it suits both")
    values: dict[str, Any] = Field(description="fields of a spec; all others keep their defaults")
    built_in: bool


class Presets(Answer):
    presets: list[PresetItem]


class Chosen(Query):
    training_type: Literal["cpt", "ift"] | None = Field(None, description="only those that suit it")


class PresetBody(Body):
    description: str = Field("", max_length=500)
    values: dict[str, Any] = Field(description="fields of a spec, as many as it is to set")


class PresetKept(Answer):
    preset: PresetItem


class PresetGone(Answer):
    message: str


class YamlText(Body):
    yaml: str = Field(max_length=100_000, description="one `field: value` a line")


class SpecRead(Answer):
    values: dict[str, Any] = Field(description="the fields that the text has")
    spec: dict[str, Any] = Field(description="all fields, those that the text leaves out at their defaults")
    command: str = Field(description="the `forgellm train` that starts the same run")


def fields(_: Forge) -> Form:
    """Every field of a training run: its type, unit, range, default, and what it does."""
    found = form()
    return Form(
        sections=list(dict.fromkeys(one.section for one in found)),
        fields=[
            FormField(
                name=one.name,
                section=one.section,
                simple=one.simple,
                type=one.type,
                unit=one.unit,
                required=one.required,
                nullable=one.nullable,
                default=one.default,
                help=one.field.help,
                typical=one.field.typical,
                minimum=one.field.minimum,
                maximum=one.field.maximum,
                above=one.field.above,
                choices=list(one.field.choices),
                most=one.field.most,
                longest=one.field.longest,
            )
            for one in found
        ],
    )


def presets(forge: Forge, query: Chosen) -> Presets:
    """Named settings: those that come with ForgeLLM, and one's own."""
    wanted = (None, query.training_type)
    found = service.presets(forge)
    return Presets(
        presets=[_item(p) for p in found if query.training_type is None or p.training_type in wanted]
    )


def keep_preset(forge: Forge, name: str, body: PresetBody) -> PresetKept:
    """Keep settings under a name, in place of those that had it."""
    preset = service.save(forge, preset_name(name), description=body.description, values=body.values)
    return PresetKept(preset=_item(preset))


def forget_preset(forge: Forge, name: str) -> PresetGone:
    """Delete one's own preset."""
    service.remove(forge, preset_name(name))
    return PresetGone(message=f"Preset {name} is gone")


def spec(_: Forge, body: YamlText) -> SpecRead:
    """The fields in a YAML file, checked."""
    values = read_yaml(body.yaml, name="yaml")
    found = parse_spec(values)
    given = to_dict(found)
    return SpecRead(values={name: given[name] for name in values}, spec=given, command=command_line(found))


def _item(preset: TrainingPreset) -> PresetItem:
    return PresetItem(
        name=preset.name,
        description=preset.description,
        training_type=preset.training_type,
        values=dict(preset.values),
        built_in=preset.built_in,
    )


def preset_name(name: str) -> str:
    """`name`, which may be that of a preset. Raises InvalidField."""
    if not _NAME.fullmatch(name) or name != name.strip():
        raise InvalidField(
            f"{name[:60]!r} is no name of a preset",
            details={"field": "name"},
            suggestion="Use up to 60 characters without slashes.",
        )
    return name


ROUTES = (
    Route("GET", "/api/training/fields", fields),
    Route("POST", "/api/training/spec", spec),
    Route("GET", "/api/presets", presets),
    Route("PUT", "/api/presets/<name>", keep_preset),
    Route("DELETE", "/api/presets/<name>", forget_preset),
)
