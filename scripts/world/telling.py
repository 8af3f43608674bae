"""Turn facts into sentences, paragraphs and questions.

Covers grammar alone (subjects, pronouns, capitals, a/an); what is said is in the wordings.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

from .entities import Entity, World
from .wording_customs import WORDINGS

_POSSESSIVE = {"she": "her", "he": "his", "it": "its"}
_SLOT = re.compile(r"\{(\w+)\}")


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def articles(text: str) -> str:
    """The text with `a` before a vowel made `an`."""
    return re.sub(r"\b([Aa]) (?=[aeiou])(?!one\b)", r"\1n ", text)


def expand(rng: random.Random, text: str, rules: dict[str, tuple[str, ...]]) -> str:
    """Replace every `{rule}` by one of its productions, over and over, until none is left."""
    while True:
        replaced = _SLOT.sub(lambda slot: rng.choice(rules[slot[1]]), text)
        if replaced == text:
            return articles(text)
        text = replaced


def _owner(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def fill(template: str, entity: Entity, value: str, *, named: bool = True) -> str:
    """One statement about an entity, by name or (`named=False`) by pronoun where the template allows."""
    subject = entity.name if named else entity.pronoun
    owner = _owner(entity.name) if named else _POSSESSIVE[entity.pronoun]
    text = template.format(
        S=subject, s=subject, P=owner, p=owner, n=entity.name, v=value, V=capital(value),
        bare=entity.name.removeprefix("the "),
    )  # fmt: skip
    return articles(capital(text))


def question(template: str, entity: Entity) -> str:
    """One question about an entity."""
    return capital(template.format(n=entity.name))


def _familiar(person: Entity) -> Entity:
    return replace(person, name=person.name.split()[0])


class Teller:
    """Tells a world's facts, going through all wordings of a relation before it repeats one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._decks: dict[tuple[str, str], list[str]] = {}

    def wording(self, entity: Entity, relation: str) -> str:
        """The next statement template for this very fact."""
        deck = self._decks.setdefault((entity.name, relation), [])
        if not deck:
            deck.extend(WORDINGS[entity.kind][relation].statements)
            self.rng.shuffle(deck)
        return deck.pop()

    def sentences(self, entity: Entity) -> list[str]:
        """All facts of an entity in a fresh order: by full name first, then by pronoun or a person's first name."""
        facts = self.rng.sample(entity.facts, len(entity.facts))
        told = []
        for position, (relation, value) in enumerate(facts):
            known = entity if position == 0 or entity.kind != "person" else _familiar(entity)
            named = position == 0 or self.rng.random() < 0.3
            told.append(fill(self.wording(entity, relation), known, value, named=named))
        return told


def chunks(rng: random.Random, world: World, size: int) -> list[list[Entity]]:
    """The world's entities, shuffled, in groups of at most `size`."""
    entities = list(world.entities)
    rng.shuffle(entities)
    return [entities[start : start + size] for start in range(0, len(entities), size)]
