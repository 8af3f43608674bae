"""JSON as this product speaks it: strict when it is read, finite when it is written."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping

from forgellm.api.errors import InvalidRequest


def read_object(data: bytes) -> dict[str, object]:
    """The object in a body; no bytes at all are the empty object.

    Raises InvalidRequest for whatever is not UTF-8, not one JSON object, nested too deeply, has a name
    twice, or a number that no double holds.
    """
    if not data:
        return {}
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error
    except ValueError as error:
        raise _invalid(str(error)) from error
    if not isinstance(value, dict):
        raise _invalid("it is not an object")
    if _has_lone_surrogate(value):
        raise _invalid("it has text that is not Unicode (a lone surrogate)")
    return value


def write_json(value: object) -> bytes:
    """Compact ASCII. A number that is not finite becomes null: socket.io clients hang up on NaN."""
    try:
        return _compact(value)
    except ValueError:
        # Looked for only here: in most answers every number is finite, and some have a million.
        return _compact(finite(value))


def finite(value: object) -> object:
    """`value` with None in place of every number that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _compact(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _has_lone_surrogate(value: dict[str, object]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice[:80]!r} stands in it twice")
    return names


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite_number
)


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the body cannot be read as JSON: {reason:.200}",
        suggestion="Send one JSON object, with the header Content-Type: application/json.",
    )
