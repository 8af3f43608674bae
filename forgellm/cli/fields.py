"""The fields of a TrainingSpec as command-line options.

Values are only brought into shape here; whether they are acceptable is said by `domain.spec.parse_spec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from forgellm.domain import spec
from forgellm.domain.fields import Field

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
    return {name: _in_shape(name, value) for name, value in options.items() if value not in (None, ())}


def _in_shape(name: str, value: object) -> object:
    kind, optional, many = spec.field_type(name)
    if value in ("none", ("none",)) and (optional or many):
        return None if optional else []
    if isinstance(value, tuple):
        return list(value)
    if kind not in (int, float) or not isinstance(value, str):
        return value
    try:
        return kind(value)
    except ValueError:
        return value


def _option(name: str, field: Field) -> Callable[[Command], Command]:
    kind, _, many = spec.field_type(name)
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=_help(name, field))
    return click.option(
        flag,
        name,
        metavar=_metavar(field, kind=kind, many=many),
        help=_help(name, field),
        # Free text may hold commas: each item is an option of its own.
        multiple=field.longest is not None,
    )


def _metavar(field: Field, *, kind: type, many: bool) -> str:
    if field.choices:
        return "[" + "|".join(field.choices) + "]" + (",..." if many else "")
    if field.longest is not None:
        return "TEXT"
    return "NAME,..." if many else {int: "INTEGER", float: "NUMBER"}.get(kind, "TEXT")


def _help(name: str, field: Field) -> str:
    parts = [field.help[0].upper() + field.help[1:] + "."]
    if field.typical:
        parts.append(f"Typical: {field.typical}.")
    default = spec.defaults().get(name)
    if name in spec.required_fields():
        parts.append("Required.")
    elif default is not None and default != [] and default is not False:
        parts.append(f"Default: {default}.")
    if field.longest is not None:
        parts.append("Give it several times for several.")
    return " ".join(parts)
