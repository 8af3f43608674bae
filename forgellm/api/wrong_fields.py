"""What is said of fields that do not fit: which one it is, why, and what would be accepted.

Whether they fit is decided by the models of `routes.Body` and `routes.Query`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from forgellm.api.routes import models_in
from forgellm.domain.errors import InvalidField, nearest

_SHOWN = 20
_SINGLE = frozenset({"str", "int", "float", "bool"})
Place = tuple[int | str, ...]


def invalid_field(model: type[BaseModel], error: ValidationError) -> InvalidField:
    """The first problem as the error, all of them in its details."""
    found = error.errors(include_url=False, include_context=False)
    first = _meant(found)
    problems = [{"field": _name(p), "reason": p["msg"]} for p in [first, *(p for p in found if p != first)]]
    field = str(problems[0]["field"])
    details: dict[str, object] = {"field": field, "problems": problems[:_SHOWN]}
    owner = _owner(model, _place(first)[:-1])
    if first["type"] == "extra_forbidden":
        return _unknown(field, {} if owner is None else owner.model_fields, details=details)
    known = None if owner is None else owner.model_fields.get(str(_place(first)[-1]))
    help = getattr(known, "description", None) or "see /openapi.json"
    if first["type"] == "missing":
        return InvalidField(f"{field} is missing", details=details, suggestion=f"Give {field}: {help}.")
    reason = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    return InvalidField(
        f"{field}: {reason}, not {first['input']!r:.80}", details=details, suggestion=f"{field}: {help}."
    )


def _unknown(field: str, fields: Mapping[str, object], *, details: Mapping[str, object]) -> InvalidField:
    within, dot, name = field.rpartition(".")
    near = nearest(name, fields)
    known = "Known fields: " + ", ".join(fields) + "." if fields else ""
    return InvalidField(
        f"unknown field {field!r}",
        details={**details, "nearest": near and f"{within}{dot}{near}"},
        suggestion=f"Did you mean {near}?" if near else known,
    )


def _meant(found: Sequence[Any]) -> Any:
    """The first problem; where a value may be one thing or another, the problem deepest inside it: it is with
    what the value was meant as."""
    place = found[0]["loc"]
    union = next((n for n, step in enumerate(place) if _is_choice(step)), None)
    if union is None:
        return found[0]
    return max((p for p in found if p["loc"][:union] == place[:union]), key=lambda p: len(_place(p)))


def _place(problem: Any) -> Place:
    """Where the problem is, without the alternatives that pydantic names on the way."""
    *steps, last = problem["loc"] or ("",)
    kept = [step for step in steps if not _is_choice(step)]
    named = problem["type"] == "extra_forbidden" or not _is_choice(last)
    return (*kept, last) if named else tuple(kept)


def _is_choice(step: int | str) -> bool:
    return isinstance(step, str) and (step in _SINGLE or "[" in step)


def _name(problem: Any) -> str:
    return ".".join(map(str, _place(problem)))[:80]


def _owner(model: type[BaseModel] | None, place: Place) -> type[BaseModel] | None:
    """The model whose field is inside `place`; None where it is none of these."""
    for step in place:
        if model is not None and isinstance(step, str):
            field = model.model_fields.get(step)
            model = None if field is None else next(models_in(field.annotation), None)
    return model
