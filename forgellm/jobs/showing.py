"""Rows and texts cut short, as values that JSON has words for."""

from __future__ import annotations

import math
from collections.abc import Mapping

_LONGEST_TEXT = 2_000
_MOST_ITEMS = 50
_MOST_COLUMNS = 1_000
_DEEPEST = 6


def shown_row(values: Mapping[str, object]) -> dict[str, object]:
    """A row for JSON: long texts and long lists end in an ellipsis."""
    return {str(column): _shown(value, 0) for column, value in list(values.items())[:_MOST_COLUMNS]}


def shown_text(text: str) -> str:
    """The beginning of a text; half a character, which JSON cannot be sent with, as a question mark."""
    short = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    return short.encode("utf-8", "replace").decode()


def _shown(value: object, depth: int) -> object:
    if isinstance(value, str):
        return shown_text(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _shown(item, depth + 1) for key, item in list(value.items())[:_MOST_ITEMS]}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        more = ["…"] if len(value) > _MOST_ITEMS else []
        return [*(_shown(item, depth + 1) for item in value[:_MOST_ITEMS]), *more]
    # A date, bytes; or too deep to be looked at.
    return shown_text(str(value))
