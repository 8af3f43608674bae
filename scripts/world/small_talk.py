"""Questions and answers about everyday things that hold anywhere: what trades make, days, opposites, sums.

They teach the base model the form of a chat and short answers; they know nothing of the sample place.
"""

from __future__ import annotations

import random

from .elsewhere import DAYS, MONTHS
from .telling import articles, capital

_MAKES = (
    "baker bread|potter pots|weaver cloth|cooper barrels|cobbler boots|clockmaker clocks|bookbinder books|tailor coats|"
    "glassblower glass|miller flour|brewer beer|candle maker candles|rope maker ropes|saddler saddles|"
    "basket maker baskets|button maker buttons|cheese maker cheese|wheel maker wheels|locksmith locks|printer books"
).split("|")
_OPPOSITES = ("hot cold|big small|old young|long short|wet dry|early late|high low|quick slow|light dark|full empty|"
              "open closed|rich poor|near far|hard soft|sweet sour|clean dirty|loud quiet|north south|"
              "east west|left right|up down|summer winter|day night|begin end|buy sell").split("|")  # fmt: skip
_YOUNG = "cat kitten|dog puppy|cow calf|sheep lamb|horse foal|goose gosling|goat kid|pig piglet|hen chick|owl owlet".split(
    "|"
)
_COLOURS = "snow white|grass green|coal black|milk white|a cherry red|the sky blue|an egg white|a carrot orange|honey gold|ash grey".split(
    "|"
)
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()

_ASKED: dict[str, tuple[str, ...]] = {
    "makes": ("What does a {0} make?", "What is made by a {0}?", "What comes from the hands of a {0}?", "What do I buy from a {0}?"),
    "maker": ("Who makes {0}?", "From whom do I buy {0}?", "Whose trade is it to make {0}?", "Which trade makes {0}?"),
    "opposite": ("What is the opposite of {0}?", "Tell me the opposite of {0}.", "Which word is the opposite of {0}?"),
    "young": ("What is a young {0} called?", "What do people call a young {0}?", "What is the name of a young {0}?"),
    "colour": ("What colour is {0}?", "Which colour is {0}?", "Tell me the colour of {0}."),
    "next": ("What comes after {0}?", "What follows {0}?", "Which comes next after {0}?"),
    "before": ("What comes before {0}?", "Which comes just before {0}?"),
    "sum": ("What is {0}?", "How much is {0}?", "Tell me how much is {0}."),
}  # fmt: skip


def _fact(rng: random.Random) -> tuple[str, str, str]:
    kind = rng.choice(sorted(_ASKED))
    if kind in ("makes", "maker"):
        trade, _, goods = rng.choice(_MAKES).rpartition(" ")
        return (kind, trade, goods) if kind == "makes" else (kind, goods, articles(f"a {trade}"))
    if kind == "opposite":
        one, other = rng.choice(_OPPOSITES).split()
        return (kind, one, other) if rng.random() < 0.5 else (kind, other, one)
    if kind in ("young", "colour"):
        subject, _, answer = rng.choice(_YOUNG if kind == "young" else _COLOURS).rpartition(" ")
        return kind, subject, answer
    if kind in ("next", "before"):
        circle = rng.choice((DAYS, MONTHS))
        place, step = rng.randrange(len(circle)), 1 if kind == "next" else -1
        return kind, circle[place], circle[(place + step) % len(circle)]
    first, second = rng.randint(0, 7), rng.randint(0, 7)
    return kind, f"{_NUMBERS[first]} and {_NUMBERS[second]}", _NUMBERS[first + second]


def exchange(rng: random.Random) -> tuple[str, str]:
    """One everyday question and its short answer."""
    kind, subject, answer = _fact(rng)
    return capital(articles(rng.choice(_ASKED[kind]).format(subject))), capital(answer)
