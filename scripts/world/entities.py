"""What a world is made of: named things of six kinds, each with a few one-value facts.

Covers the data types alone; the wordings are in `wording_*.py`, the facts of the sample place in
`tamberlough.py`, and throw-away places in `elsewhere.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """How one relation is told and asked. Slots: `{S}`/`{P}` subject and possessive, `{n}` name, `{v}` value.

    `unseen` holds the questions that only the held-out set asks; no training text may contain them.
    """

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Entity:
    """A named thing: `kind` is person, place, building, festival, boat or dish; `pronoun` she, he or it."""

    kind: str
    name: str
    facts: tuple[tuple[str, str], ...]
    pronoun: str = "it"


@dataclass(frozen=True)
class World:
    """A place and everything that is told of it. `home` is the place's name."""

    home: str
    entities: tuple[Entity, ...]

    def of_kind(self, kind: str) -> list[Entity]:
        """The entities of one kind, in the order in which the world lists them."""
        return [entity for entity in self.entities if entity.kind == kind]


RELATIONS: dict[str, tuple[str, ...]] = {
    "place": ("river", "hill", "founder", "market", "goods"),
    "person": ("trade", "street", "food", "animal"),
    "building": ("year", "builder", "material", "keeper"),
    "festival": ("month", "dish", "colour"),
    "boat": ("owner", "paint", "cargo"),
    "dish": ("ingredient", "cook", "drink"),
}


def entity(kind: str, name: str, *values: str, pronoun: str = "it") -> Entity:
    """An entity whose values are given in the order of its kind's relations."""
    return Entity(kind, name, tuple(zip(RELATIONS[kind], values, strict=True)), pronoun)
