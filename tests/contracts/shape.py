"""Comparing an answer with the example that documents it."""

from __future__ import annotations

from collections.abc import Iterator

NUMBER = (int, float)


def differences(example: object, answer: object, place: str = "answer") -> list[str]:
    """Where the answer lacks a documented key or has a value of another JSON type.

    Null may stand anywhere but for an object or a list. Further keys are allowed, and lists of any length.
    """
    if isinstance(example, dict):
        if not isinstance(answer, dict):
            return [f"{place} is no object: {answer!r}"]
        missing = [f"{place}.{key} is missing" for key in example if key not in answer]
        return missing + [
            line
            for key in example
            if key in answer
            for line in differences(example[key], answer[key], f"{place}.{key}")
        ]
    if isinstance(example, list):
        if not isinstance(answer, list):
            return [f"{place} is no list: {answer!r}"]
        return [line for n, item in enumerate(answer) for line in _item(example, item, f"{place}[{n}]")]
    return [] if answer is None or _same_type(example, answer) else [f"{place} is {answer!r}"]


def types(value: object) -> dict[str, str]:
    """Every place in a JSON value that has no places below it, with the name of its type: `jobs[].id`."""
    found: dict[str, str] = {}
    for place, kind in _types(value, ""):
        # One that is null in one item of a list may have a value in another.
        if found.get(place, "null") == "null":
            found[place] = kind
    return found


def _types(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _types(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _types(inner, f"{place}[]")
    else:
        yield place, _type(value)


def _type(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return names[type(value)]


def _item(example: list[object], item: object, place: str) -> list[str]:
    return differences(example[0], item, place) if example else []


def _same_type(example: object, answer: object) -> bool:
    if isinstance(example, bool) or isinstance(answer, bool):
        return isinstance(example, bool) and isinstance(answer, bool)
    if isinstance(example, NUMBER):
        return isinstance(answer, NUMBER) and not (isinstance(example, int) and isinstance(answer, float))
    return isinstance(answer, type(example))
