"""The fields of a TrainingSpec as command-line options and as a YAML file.

Values are only brought into shape here; whether they are acceptable is said by `domain.spec.parse_spec`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import click
import yaml

from forgellm.domain import spec
from forgellm.domain.errors import InvalidField

Command = Callable[..., object]


def field_options(command: Command) -> Command:
    """Gives `command` one option for every field of TrainingSpec, in the order of the fields."""
    for name, field in reversed(spec.fields().items()):
        command = _option(name, field)(command)
    return command


def given(options: Mapping[str, object]) -> dict[str, object]:
    """The fields that were given as options: numbers where the field wants one, None for `none`.

    Text that should have been a number stays text, which `parse_spec` then explains.
    """
    return {name: _in_shape(name, value) for name, value in options.items() if value is not None}


def _in_shape(name: str, value: object) -> object:
    kind, optional, many = spec.field_type(name)
    if value == "none" and (optional or many):
        return None if optional else []
    if kind not in (int, float) or not isinstance(value, str):
        return value
    try:
        return kind(value)
    except ValueError:
        return value


def _option(name: str, field: spec.Field) -> Callable[[Command], Command]:
    kind, _, many = spec.field_type(name)
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=_help(name, field))
    return click.option(
        flag,
        name,
        metavar=_metavar(field, kind=kind, many=many),
        help=_help(name, field),
    )


def _metavar(field: spec.Field, *, kind: type, many: bool) -> str:
    if field.choices:
        return "[" + "|".join(field.choices) + "]" + (",..." if many else "")
    return "NAME,..." if many else {int: "INTEGER", float: "NUMBER"}.get(kind, "TEXT")


def _help(name: str, field: spec.Field) -> str:
    parts = [field.help[0].upper() + field.help[1:] + "."]
    if field.typical:
        parts.append(f"Typical: {field.typical}.")
    default = defaults().get(name)
    if name not in defaults():
        parts.append("Required.")
    elif default is not None and default != [] and default is not False:
        parts.append(f"Default: {default}.")
    return " ".join(parts)


def defaults() -> dict[str, object]:
    """What the optional fields have when they are left out, as YAML and JSON have it."""
    optional = (f for f in dataclasses.fields(spec.TrainingSpec) if f.default is not dataclasses.MISSING)
    return {f.name: [] if f.default == () else f.default for f in optional}


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the later of two equal keys win in silence; here both are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"{key.value} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str, *, name: str) -> dict[str, object]:
    """The fields in a YAML file. Raises InvalidField with the place where it is not a mapping of fields."""
    try:
        # A SafeLoader: it builds plain values only.
        values = yaml.load(text, Loader=_UniqueKeys)
    # A date or number that is none is a ValueError of the constructor, not a YAMLError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidField(
            f"{name} is not valid YAML: {' '.join(str(error).split())}",
            details={"file": name},
            suggestion="Write one `field: value` a line; `forgellm train --print-yaml` shows the form.",
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidField(
            f"{name} holds {type(values).__name__}, not fields",
            details={"file": name},
            suggestion="Write one `field: value` a line; `forgellm train --print-yaml` shows the form.",
        )
    return {str(key): value for key, value in values.items()}


def to_yaml(values: Mapping[str, object]) -> str:
    """The fields as YAML that `read_yaml` takes back."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
