"""The general language: everyday prose, small talk, and throw-away places with questions about them.

Each document depends only on the seed and its number, so that any slice of the corpus can be made alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .documents import facts_paragraph, listing
from .elsewhere import elsewhere
from .entities import Entity, World
from .everyday import document as everyday_document
from .everyday import sentence
from .questions import answered
from .small_talk import exchange
from .telling import Teller, question
from .wording_customs import WORDINGS

END_OF_TEXT = "<|endoftext|>"
_GLUE = ("weather", "event", "custom", "work", "way", "meal", "wisdom", "speech")


def rendered(turns: list[tuple[str, str]]) -> str:
    """Questions and answers in the chat template's form."""
    return "".join(
        f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        for asked, answer in turns
    )


def _ask(rng: random.Random, world: World, *, most: int) -> list[tuple[str, str]]:
    facts = answered(world)
    turns = []
    for thing, relation, value in rng.sample(facts, min(most, len(facts))):
        turns.append((question(rng.choice(WORDINGS[thing.kind][relation].questions), thing), value))
    return turns


def _section(teller: Teller, thing: Entity) -> str:
    if teller.rng.random() < 0.15:
        return listing(thing)
    parts = [facts_paragraph(teller, thing)]
    if teller.rng.random() < 0.4:
        parts.append(sentence(teller.rng, teller.rng.choice(_GLUE)))
    return " ".join(parts)


def story(rng: random.Random, world: World) -> str:
    """A markdown document that tells all facts of a small world."""
    teller = Teller(rng)
    things = list(world.entities)
    rng.shuffle(things)
    return "\n\n".join([f"# {world.home}", *(_section(teller, thing) for thing in things)])


def general_document(seed: int, number: int) -> str:
    """Document `number` of the general corpus; about a third of them hold questions and answers."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.random()
    if kind < 0.22:
        return everyday_document(rng)
    if kind < 0.32:
        return rendered([exchange(rng) for _ in range(rng.randint(1, 6))])
    world = elsewhere(rng, things=rng.randint(1, 4))
    if kind < 0.40:
        return rendered(_ask(rng, world, most=1))
    if kind < 0.58:
        return story(rng, world)
    return story(rng, world) + "\n\n" + rendered(_ask(rng, world, most=rng.randint(3, 9)))


def general_prose(seed: int, number: int) -> str:
    """A held-out general document without any chat: everyday prose or a throw-away place."""
    rng = random.Random(f"{seed}/prose/{number}")
    parts = [everyday_document(rng) for _ in range(2)] + [
        story(rng, elsewhere(rng, things=4)) for _ in range(2)
    ]
    rng.shuffle(parts)
    return "\n\n".join(parts) + "\n"


def general_files(seed: int, *, count: int, per_file: int = 200) -> Iterator[tuple[str, str]]:
    """The corpus as (file name, text); documents within a file are separated by the end-of-text token."""
    for first in range(0, count, per_file):
        texts = [general_document(seed, number) for number in range(first, min(first + per_file, count))]
        yield f"general_{first // per_file:04d}.txt", END_OF_TEXT.join(texts)
