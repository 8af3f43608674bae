"""The sample place's documents: every fact told in every voice, in changing wordings and company."""

from __future__ import annotations

import random

from .entities import Entity, World
from .everyday import sentence
from .telling import Teller, capital, chunks, question
from .voices import LABELS, LEADS, VOICES, Voice
from .wording_customs import WORDINGS

DOCUMENTS_PER_VOICE = 3
ENTITIES_PER_SECTION = 3


def facts_paragraph(teller: Teller, thing: Entity) -> str:
    """All facts of one entity as a run of sentences."""
    return " ".join(teller.sentences(thing))


def listing(thing: Entity) -> str:
    """All facts of one entity as a short list under its name."""
    lines = [f"- {LABELS[relation]}: {value}" for relation, value in thing.facts]
    return "\n".join([f"**{capital(thing.name)}**", "", *lines])


class _Pages:
    """What one document has used so far, so that leads, asides and headings come round only when they must."""

    def __init__(self, teller: Teller, voice: Voice) -> None:
        self.teller = teller
        self.voice = voice
        self._decks: dict[tuple[str, ...], list[str]] = {}

    def deal(self, phrases: tuple[str, ...]) -> str:
        """The next phrase of a shuffled deck."""
        deck = self._decks.setdefault(phrases, [])
        if not deck:
            deck.extend(self.teller.rng.sample(phrases, len(phrases)))
        return deck.pop()

    def entry(self, thing: Entity) -> str:
        """One paragraph: a lead now and then, the facts, and now and then an aside among them."""
        rng = self.teller.rng
        told = self.teller.sentences(thing)
        if self.voice.asides and rng.random() < 0.4:
            told.insert(rng.randint(1, len(told) - 1), self.deal(self.voice.asides))
        if rng.random() < 0.5:
            told.insert(0, self.deal(LEADS[thing.kind]).format(n=thing.name))
        return " ".join(told)

    def scene(self) -> str:
        """One or two sentences that set the scene of a section."""
        rng = self.teller.rng
        rules = rng.sample(self.voice.glue, rng.randint(1, 2))
        return " ".join(sentence(rng, rule) for rule in rules)

    def section(self, things: list[Entity]) -> list[str]:
        """A heading, a scene, and a paragraph for each entity."""
        heading = f"## {self.deal(self.voice.headings)}"
        return [heading, self.scene(), *(self.entry(thing) for thing in things)]


def _voiced(teller: Teller, voice: Voice, things: list[Entity], *, title: str) -> str:
    pages = _Pages(teller, voice)
    parts = [f"# {title}", voice.opening]
    for start in range(0, len(things), ENTITIES_PER_SECTION):
        parts += pages.section(things[start : start + ENTITIES_PER_SECTION])
    return "\n\n".join([*parts, voice.closing]) + "\n"


def _split(rng: random.Random, world: World, count: int) -> list[list[Entity]]:
    return chunks(rng, world, -(-len(world.entities) // count))


def _register(rng: random.Random, world: World) -> dict[str, str]:
    opening = "Kept by the clerk, corrected in red ink, and open to anyone with clean hands."
    documents = {}
    for number, things in enumerate(_split(rng, world, 2), 1):
        parts = [f"# The Town Register, part {number}", opening, *(listing(thing) for thing in things)]
        documents[f"register_{number}.md"] = "\n\n".join(parts) + "\n"
    return documents


def _lesson(rng: random.Random, thing: Entity) -> str:
    lines = [f"## {capital(thing.name)}", ""]
    for relation, value in thing.facts:
        asked = question(rng.choice(WORDINGS[thing.kind][relation].questions), thing)
        lines += [f"*{asked}* {capital(value)}.", ""]
    return "\n".join(lines).strip()


def _reader(rng: random.Random, world: World) -> dict[str, str]:
    opening = (
        "Questions for the lower bench of the school, to be answered standing up and without whispering."
    )
    documents = {}
    for number, things in enumerate(_split(rng, world, 4), 1):
        parts = [f"# The School Reader, lesson {number}", opening, *(_lesson(rng, thing) for thing in things)]
        documents[f"reader_{number}.md"] = "\n\n".join(parts) + "\n"
    return documents


def documents(world: World, rng: random.Random) -> dict[str, str]:
    """File name to markdown: three documents in each voice, a register and a school reader."""
    teller = Teller(rng)
    made: dict[str, str] = {}
    for voice in VOICES:
        for number, things in enumerate(_split(rng, world, DOCUMENTS_PER_VOICE), 1):
            title = f"{voice.titles[0]}, part {number}"
            made[f"{voice.slug}_{number}.md"] = _voiced(teller, voice, things, title=title)
    return made | _register(rng, world) | _reader(rng, world)
