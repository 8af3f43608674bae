"""What an answer has beyond the example that documents it: below a dialect's prefix nothing."""

from __future__ import annotations

from tests.contracts.shape import differences


def additions(example: object, answer: object, place: str = "answer") -> list[str]:
    """The keys that no example has."""
    if isinstance(example, dict) and isinstance(answer, dict):
        # An object without keys in the example may have any.
        more = [f"{place}.{key} is not documented" for key in answer if example and key not in example]
        return more + [
            line
            for key in example
            if key in answer
            for line in additions(example[key], answer[key], f"{place}.{key}")
        ]
    if isinstance(example, list) and isinstance(answer, list) and example:
        known = _all_keys(example)
        return [line for n, item in enumerate(answer) for line in additions(known, item, f"{place}[{n}]")]
    return []


def _all_keys(examples: list[object]) -> object:
    """An example with the keys of all of them."""
    objects = [one for one in examples if isinstance(one, dict)]
    return {key: value for one in objects for key, value in one.items()} if objects else examples[0]


def mismatch(example: object, answer: object, *, strict: bool) -> list[str]:
    """Missing keys and wrong types; of a strict answer also keys that are too much."""
    return differences(example, answer) + (additions(example, answer) if strict else [])
