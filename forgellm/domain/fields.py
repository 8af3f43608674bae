"""What may be written into one field of a spec, and the check of a single value. Which fields there are is
`spec`'s part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from forgellm.domain.errors import InvalidField, nearest


@dataclass(frozen=True)
class Field:
    """What a person may write into one field. Bounds are inclusive unless `above` is set.

    A list has at most `most` items; where each may have `longest` characters, the items are free text, and a
    text that is given in place of the list is one item rather than several names between commas.
    """

    help: str
    typical: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    most: int | None = None
    longest: int | None = None


class Kind(NamedTuple):
    """The scalar type of a field's values, whether it may be None, and whether it is a list of them."""

    scalar: type
    optional: bool
    many: bool


def check(name: str, value: object, field: Field, *, kind: Kind) -> object:
    """The value in the form that a spec has it in. Raises InvalidField saying what would be accepted."""
    if value is None or (value == "" and kind.optional):
        if kind.optional:
            return None
        raise _invalid(name, value, field, "must not be empty")
    if kind.many:
        return _check_texts(name, value, field) if field.longest else _check_names(name, value, field)
    return _check_scalar(name, value, field, kind=kind.scalar)


def _check_names(name: str, value: object, field: Field) -> tuple[str, ...]:
    items = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
        raise _invalid(name, value, field, "must be a list of names")
    return tuple(str(_check_scalar(name, item, field, kind=str)) for item in items if item)


def _check_texts(name: str, value: object, field: Field) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
        raise _invalid(name, value, field, "must be a list of texts")
    texts = tuple(item for item in items if item.strip())
    if field.most is not None and len(texts) > field.most:
        raise _invalid(name, f"{len(texts)} of them", field, f"must be at most {field.most} texts")
    for text in texts:
        if field.longest is not None and len(text) > field.longest:
            reason = f"must have at most {field.longest} characters each"
            raise _invalid(name, f"one of {len(text)}", field, reason)
        if not _is_writable(text):
            raise _invalid(name, text[:80], field, "must be text that can be written as UTF-8")
    return texts


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _check_scalar(name: str, value: object, field: Field, *, kind: type) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = _float(value)
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 5e-5 as a string.
        value = _number(value)
    if type(value) is not kind:
        raise _invalid(name, value, field, f"must be {_TYPE_NAMES[kind]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise _invalid(name, value, field, "must be a finite number")
    if field.choices and value not in field.choices:
        raise _invalid(name, value, field, "must be one of " + ", ".join(field.choices))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_bounds(name, value, field)
    return value


_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _check_bounds(name: str, value: float, field: Field) -> None:
    if field.above is not None and not value > field.above:
        raise _invalid(name, value, field, f"must be greater than {field.above:g}")
    if field.minimum is not None and value < field.minimum:
        raise _invalid(name, value, field, f"must be at least {field.minimum:.12g}")
    if field.maximum is not None and value > field.maximum:
        raise _invalid(name, value, field, f"must be at most {field.maximum:.12g}")


def _invalid(name: str, value: object, field: Field, reason: str) -> InvalidField:
    typical = f" Typical: {field.typical}." if field.typical else ""
    near = nearest(value, field.choices) if isinstance(value, str) else None
    hint = f" Did you mean {near}?" if near else ""
    return InvalidField(
        f"{name} {reason}, not {value!r}",
        details={
            "field": name,
            "value": repr(value),
            "typical": field.typical,
            "choices": list(field.choices),
        },
        suggestion=f"{name}: {field.help}.{typical}{hint}",
    )
