"""The question sets about the sample place, and the proof that held-out wordings are unseen."""

from __future__ import annotations

import random
import re

from .entities import Entity, World
from .telling import question
from .wording_customs import WORDINGS

VALIDATION_PER_FACT = 1


def chat(asked: str, answer: str) -> dict[str, list[dict[str, str]]]:
    """One `messages` record."""
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


def answered(world: World) -> list[tuple[Entity, str, str]]:
    """Every fact as (entity, relation, answer)."""
    return [(thing, relation, value) for thing in world.entities for relation, value in thing.facts]


def trained(world: World, rng: random.Random) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Training and validation questions with answers: every fact in all its wordings, one of them put aside."""
    train: list[tuple[str, str]] = []
    valid: list[tuple[str, str]] = []
    for thing, relation, value in answered(world):
        asked = [question(template, thing) for template in WORDINGS[thing.kind][relation].questions]
        rng.shuffle(asked)
        valid += [(text, value) for text in asked[:VALIDATION_PER_FACT]]
        train += [(text, value) for text in asked[VALIDATION_PER_FACT:]]
    rng.shuffle(train)
    rng.shuffle(valid)
    return train, valid


def held_out(world: World) -> list[tuple[str, str]]:
    """One question per fact, in a wording that nothing else uses; the wordings take turns."""
    rows = []
    for position, (thing, relation, value) in enumerate(answered(world)):
        unseen = WORDINGS[thing.kind][relation].unseen
        rows.append((question(unseen[position % len(unseen)], thing), value))
    return rows


def plain(text: str) -> str:
    """The text as lower-case words alone, so that punctuation and capitals hide nothing."""
    return " ".join(re.findall(r"\w+", text.lower()))


def fragments(template: str) -> list[str]:
    """The plain words on either side of the name in a question's wording."""
    return [plain(part) for part in template.split("{n}")]


def occurs(template: str, text: str) -> bool:
    """Whether a question's wording, with any name of up to six words in its slot, occurs in plain `text`."""
    before, after = fragments(template)
    if before not in text or after not in text:
        return False
    name = r"\w+(?: \w+){0,5}?"
    return re.search(rf"\b{' '.join(part for part in (before, name, after) if part)}\b", text) is not None


def unseen_wordings() -> list[str]:
    """All question wordings that only the held-out set may use."""
    return [text for kind in WORDINGS.values() for wording in kind.values() for text in wording.unseen]
