"""Which shape a row, or a whole file, has: by the names of its columns and by what lies in them.

A decision made by hand wins. How a row becomes an example is `conversion`'s part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from forgellm.data.problems import quoted
from forgellm.data.shapes import MEANING, NAMES, REQUIRED, SHAPES, Choice, Shape
from forgellm.data.tables.row import Row

_LOOKED_AT = 200
"""Rows of a file that its shape is recognised from."""

_TURN = re.compile(r"\s*\[\s*\{[^{}]{0,80}?\"(from|value|role|content)\"\s*:")
_KEYS = {"from": "from", "value": "from", "role": "role", "content": "role"}

_MOST_COLUMNS = 200
"""Of a wider table the first columns are looked at, and those behind them that are called as a part is."""

_KNOWN = frozenset(name for names in NAMES.values() for likely in names.values() for name in likely)

_LONGEST_NAME = 200
_NAMED = 5

Signature = tuple[tuple[str, str], ...]
"""The columns of a row, each with what kind of turns lies in it: `from`, `role` or none."""


@dataclass(frozen=True)
class Match:
    """A shape and the columns of its parts, as (part, column); a part in `missing` has none."""

    shape: Shape
    columns: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recognition:
    """`shape` is None where the rows fit none; `reason` says why in words that a person reads.

    `columns` maps each part to its column; `alternatives` are the other shapes that would fit.
    """

    shape: Shape | None
    columns: Mapping[str, str]
    reason: str
    alternatives: tuple[Shape, ...] = ()
    by_hand: bool = False


def match(values: Mapping[str, object], choice: Choice | None = None) -> Match | None:
    """The shape of one row; the likeliest where a part is missing, None where there is no part of any."""
    signature = _signature(values)
    if choice is not None:
        return _fit(choice.shape, signature, chosen=tuple(choice.columns.items()))
    return _match(signature)


def recognise(rows: Iterable[Row], choice: Choice | None = None) -> Recognition:
    """The shape of a file from its first rows, of which only one is in memory at a time."""
    counts: Counter[Match | None] = Counter()
    signatures: dict[Match | None, Signature] = {}
    for seen, row in enumerate(rows, 1):
        found = match(row.values, choice)
        counts[found] += 1
        signatures.setdefault(found, _signature(row.values))
        if seen == _LOOKED_AT:
            break
    if not counts:
        return Recognition(None, {}, "no row of it can be read")
    best = max(counts, key=lambda one: (one is not None and not one.missing, one is not None, counts[one]))
    return _recognition(best, counts, signature=signatures[best], by_hand=choice is not None)


def _recognition(
    best: Match | None, counts: Counter[Match | None], *, signature: Signature, by_hand: bool
) -> Recognition:
    if best is None:
        columns = ", ".join(quoted(column) for column, _ in signature[:8]) or "none with a short name"
        return Recognition(None, {}, f"its columns fit none of the known shapes (it has {columns})")
    others = [one for one in SHAPES if one != best.shape and not _fit(one, signature).missing]
    reason = _reason(best, counts, by_hand=by_hand) + _unused(best, signature)
    return Recognition(best.shape, dict(best.columns), reason, tuple(others), by_hand)


def _unused(best: Match, signature: Signature) -> str:
    used = {column for _, column in best.columns}
    rest = [quoted(column) for column, _ in signature if column not in used]
    more = f" and {len(rest) - _NAMED} more" if len(rest) > _NAMED else ""
    return f"; not used: {', '.join(rest[:_NAMED])}{more}" if rest else ""


def _reason(best: Match, counts: Counter[Match | None], *, by_hand: bool) -> str:
    where = ", ".join(
        f"{part} in {quoted(column)}" if part != column else repr(part) for part, column in best.columns
    )
    said = f"{MEANING[best.shape]}: {where}{' (by hand)' if by_hand else ''}"
    if best.missing:
        said += f", but without {' and '.join(map(repr, best.missing))}"
    rest = Counter[str]()
    for one, count in counts.items():
        if one is None or one.shape != best.shape:
            rest["no known shape" if one is None else one.shape] += count
    mixed = ", ".join(f"{count} {shape}" for shape, count in rest.items())
    return f"{said}; of the first {counts.total()} rows {mixed}" if mixed else said


def _signature(values: Mapping[str, object]) -> Signature:
    found = [(column, _turns(value)) for column, value in islice(values.items(), _MOST_COLUMNS)]
    if len(values) > _MOST_COLUMNS:
        behind = islice(values.items(), _MOST_COLUMNS, None)
        found += [(column, _turns(value)) for column, value in behind if column.casefold() in _KNOWN]
    return tuple((column, turns) for column, turns in found if len(column) <= _LONGEST_NAME)


def _turns(value: object) -> str:
    """What the turns in a value are written with; a cell of a CSV file may hold them as JSON."""
    if isinstance(value, str):
        found = _TURN.match(value) if value[:1] in "[ \n" else None
        return _KEYS[found.group(1)] if found else ""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return ""
    return "from" if "from" in first else "role" if "role" in first else ""


# The files of a dataset have few sets of columns, so each is looked at once.
@lru_cache(maxsize=256)
def _match(signature: Signature) -> Match | None:
    fits = [_fit(shape, signature) for shape in SHAPES]
    whole = next((fit for fit in fits if not fit.missing), None)
    return whole or next(
        (fit for fit in fits if any(part in REQUIRED[fit.shape] for part, _ in fit.columns)), None
    )


@lru_cache(maxsize=256)
def _fit(shape: Shape, signature: Signature, *, chosen: Signature = ()) -> Match:
    """The columns of a shape's parts as far as it has them; those `chosen` by hand as (part, column) too."""
    free = {_plain(column): column for column, _ in reversed(signature)}
    turns = {_plain(column): kind for column, kind in signature}
    columns: dict[str, str] = {}
    by_hand = dict(chosen)
    for part, names in NAMES[shape].items():
        if part in by_hand:
            columns[part] = by_hand[part]
            continue
        found = next((n for n in names if n in free and _takes(shape, part, name=n, turns=turns[n])), None)
        if found is not None:
            columns[part] = free.pop(found)
    return Match(shape, tuple(columns.items()), tuple(p for p in REQUIRED[shape] if p not in columns))


def _takes(shape: Shape, part: str, *, name: str, turns: str) -> bool:
    """Whether a column can be a part: lists of turns must be written as the shape writes them.

    A column with the part's own name is taken whatever lies in it, so that what is wrong with it is said.
    """
    if (shape, part) == ("messages", "messages"):
        return turns == "role" or (name == part and turns != "from")
    if (shape, part) == ("sharegpt", "conversations"):
        return turns == "from" or (name == part and turns != "role")
    return turns == "" or shape in ("preference", "prompt_completion")


def _plain(column: str) -> str:
    return column.strip().casefold().replace("-", "_").replace(" ", "_")
