"""Throw-away places: random names and facts in the shape of the sample domain, none of it shared with it.

They give the base model the genre and the way from a question to an answer, never the sample's facts.
"""

from __future__ import annotations

import random

from .entities import Entity, World, entity
from .tamberlough import proper_names
from .telling import articles

_STARTS = (
    "Al Ar Bal Bar Bel Ber Bran Bro Cal Car Cas Cer Col Cor Dal Dan Del Den Dor Dun Ed El Em Er Fal Fen "
    "Fer Fin Gal Gar Ger Gil Gor Hal Han Har Hel Hol Il Is Jan Jor Kal Kel Ken Lan Lar Len Lin Lor Mal Mar "
    "Mel Mer Mil Mor Nal Nor Ol Or Os Pad Pel Pen Per Pol Ral Ran Rel Ros Row Sal Sam Sel Ser Sil Sol Tal "
    "Tam Tan Tar Tel Ter Thal Thor Tol Tor Ul Val Ven Ver Vin Wal War Wel Wil Win Yar Yol Zel").split()  # fmt: skip
_MIDDLES = "a e i o u an en in on ar er or al el ol and est ick imm ow add ell ett ess obb ann ull".split()
_FIRST_F = "a ina ette ara elle issa wen ora ild etta is ith una eth ia enna".split()
_FIRST_M = "an on in us ric ard old win bert o ek mund ward ren is och ert ald".split()
_FAMILY = (
    "son ley man wright ford well ton er ham kin by wood stone field hurst low ridge ley ock ane".split()
)
_PLACE = (
    "ford ton ham bury wick stead well bridge field moor dale mouth combe ley worth beck port holm".split()
)
_RIVER = "e en er a ey ow in ard un ish ell".split()
_STREET = ("Mill Church Bridge Market Green Old New Upper Lower Chapel Baker Well Stone Castle School High Elm "
           "Ash Rose Cherry Garden Forge Silver Tanner Smith North South Water Long Short Abbey Fountain").split()  # fmt: skip
_STREET_KIND = ("Street Lane Row Steps Rise Court Hill Road Alley Square Gate Quay Yard Walk").split()
_HILL_KIND = "Hill Fell Top Crag Pike Down Knoll Rock Beacon Edge".split()
_HILL = (
    "Fox Bald Bracken High Crooked Raven Beacon Windy Long Stony Hare Cold Sheep Thorn Red Wolf Bare".split()
)

TRADES = (
    "baker ferryman clockmaker cooper weaver beekeeper glassblower saddler miller schoolteacher potter apothecary "
    "bookbinder stonemason shepherd innkeeper carpenter blacksmith tailor cobbler butcher fisherman gardener "
    "carter brewer thatcher painter roofer farmer doctor tanner dyer printer musician woodcutter gamekeeper "
    "locksmith tinker midwife barber drover judge porter").split()  # fmt: skip
TRADES += ["rope maker", "net mender", "bell ringer", "candle maker", "basket maker", "button maker",
           "letter carrier", "ship builder", "wheel maker", "cheese maker"]  # fmt: skip
_ADJ_FOOD = "smoked baked fried roast pickled stewed spiced toasted sweet salted cold buttered".split()
_FOOD = ("eel apples herring trout cheese duck plums pears mushrooms beans chicken pork onions turnips carrots "
         "ham eggs nuts chestnuts cabbage potatoes fish crab").split()  # fmt: skip
_FOOD_A = ("plum honey pea barley mutton cheese lemon onion mussel nettle ginger rice potato rabbit goose cherry apple "
           "leek oat almond carrot pigeon walnut pear").split()  # fmt: skip
_FOOD_B = (
    "dumplings cake soup bread stew pancakes tart pie broth biscuits pudding cakes buns porridge".split()
)
_ADJ_PET = ("white black grey brown red old tame striped spotted lame shaggy fat quiet stubborn slow green yellow "
            "noisy lazy clever thin small one-eyed ginger").split()  # fmt: skip
_PET = ("goose cat parrot hound donkey jackdaw pony hen tortoise terrier seagull owl rabbit spaniel mule dove "
        "sheepdog goat duck crow squirrel lamb puppy kitten pig hedgehog magpie raven").split()  # fmt: skip
_ADJ_GOODS = "blue fine red winter summer painted carved woven old strong soft white thick black roof".split()
_GOODS = ("glass chairs slate baskets pears cheese cloth ropes candles knives pots wool lace apples barrels boots "
          "butter paper bells spoons cider blankets bricks onions ribbons saddles hats").split()  # fmt: skip
_ADJ_STONE = "grey tarred white red yellow black green golden brown pale dark rough".split()
_STONE = (
    "granite oak slate brick limestone basalt sandstone timber marble stone flint clay chestnut pine elm"
).split()
_COLOURS = "gold blue white green red yellow brown grey purple orange black silver pink".split()
_SHADES = "dark bright pale sky coal deep light".split()
_DRINKS = ("dark beer|warm milk|plum brandy|pear cider|mint tea|apple cider|cold water|red wine|white wine|"
           "small beer|ginger beer|black tea|sour milk|cherry juice|honey wine").split("|")  # fmt: skip
_CARGO_A = "barrels sacks bundles blocks crates baskets bales".split()
_CARGO_B = "salt flour stone reed apples wool fish slate beer wood cloth coal".split()
_BUILDING = "Tower Granary House Hall Inn School Cellar Chapel Library Mill Bridge Barn Gate Well".split()
_BUILDING_A = ("Old High Round Corn Wool Broken Quiet Fox Swan Moon Rose Copper Hollow Tall Red Crow Sun Winter "
               "Pilgrim Wheel Hammer Ram Salmon Crooked").split()  # fmt: skip
_BOAT_A = "Happy Brave Quiet Red Swift Old Lucky Golden Lonely Proud Merry Early Third Last Good".split()
_BOAT_B = "Heron Duck Star Lady Swallow Hope Wave Morning Otter Sister Friend Cloud Salmon Anna Rose".split()
_FEAST_A = (
    "Apple Candle Ribbon Sheep Straw Snow Rose Cider Kite Drum Harvest Shepherd Bread Wool Lantern".split()
)
_FEAST_B = "Night Day Fair Week Sunday Feast Supper Morning".split()
_DISH_A = (
    "mill field bridge bishop harvest forest river marsh tinker chimney winter shepherd barn garden".split()
)
_DISH_B = "stew bread pudding broth loaf pie soup cake hash".split()
MONTHS = ("January February March April May June July August September October November December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _fresh(rng: random.Random, *parts: list[str]) -> str:
    while True:
        name = "".join(rng.choice(part) for part in parts)
        if name not in proper_names():
            return name


def person_name(rng: random.Random, *, female: bool) -> str:
    """A first name and a family name, neither of which the sample place has."""
    first = _fresh(rng, _STARTS, _MIDDLES, _FIRST_F if female else _FIRST_M)
    if rng.random() < 0.5:
        first = _fresh(rng, _STARTS, _FIRST_F if female else _FIRST_M)
    family = _fresh(rng, _STARTS, _FAMILY) if rng.random() < 0.6 else _fresh(rng, _STARTS, _MIDDLES)
    return f"{first} {family}"


def place_name(rng: random.Random) -> str:
    """The name of a place that the sample place has never heard of."""
    return _fresh(rng, _STARTS, _PLACE) if rng.random() < 0.6 else _fresh(rng, _STARTS, _MIDDLES, _PLACE)


def _pair(rng: random.Random, first: list[str], second: list[str], *, link: str = " ") -> str:
    while True:
        name = rng.choice(first) + link + rng.choice(second)
        if name not in proper_names():
            return name


def food(rng: random.Random) -> str:
    """Something to eat, as in `plum cake` or `smoked eel`."""
    return _pair(rng, _ADJ_FOOD, _FOOD) if rng.random() < 0.45 else _pair(rng, _FOOD_A, _FOOD_B)


def _many(animal: str) -> str:
    if animal.endswith("goose"):
        return animal.removesuffix("goose") + "geese"
    return animal.removesuffix("y") + "ies" if animal.endswith(("pony", "puppy")) else f"{animal}s"


def _animal(rng: random.Random) -> str:
    if rng.random() < 0.15:
        return f"two {_many(_pair(rng, _ADJ_PET, _PET))}"
    if rng.random() < 0.1:
        return f"a pair of {_many(rng.choice(_PET))}"
    return articles(f"a {_pair(rng, _ADJ_PET, _PET)}")


def _any_name(rng: random.Random) -> str:
    return person_name(rng, female=rng.random() < 0.5)


def _place(rng: random.Random, name: str) -> Entity:
    hill = _pair(rng, _HILL, _HILL_KIND)
    return entity("place", name, "the " + _fresh(rng, _STARTS, _RIVER), hill, _any_name(rng),
                  rng.choice(DAYS), _pair(rng, _ADJ_GOODS, _GOODS))  # fmt: skip


def _person(rng: random.Random) -> Entity:
    female = rng.random() < 0.5
    street = _pair(rng, _STREET, _STREET_KIND)
    return entity("person", person_name(rng, female=female), rng.choice(TRADES), street, food(rng), _animal(rng),
                  pronoun="she" if female else "he")  # fmt: skip


def _building(rng: random.Random, keeper: str) -> Entity:
    return entity("building", "the " + _pair(rng, _BUILDING_A, _BUILDING), str(rng.randint(1600, 1850)),
                  _any_name(rng), _pair(rng, _ADJ_STONE, _STONE), keeper)  # fmt: skip


def _festival(rng: random.Random) -> Entity:
    name = _pair(rng, _FEAST_A, _FEAST_B)
    name = name if name.endswith(("Night", "Day", "Sunday", "Week")) else f"the {name}"
    return entity("festival", name, rng.choice(MONTHS), food(rng), rng.choice(_COLOURS))


def _boat(rng: random.Random, owner: str) -> Entity:
    cargo = _pair(rng, _CARGO_A, _CARGO_B, link=" of ")
    return entity("boat", "the " + _pair(rng, _BOAT_A, _BOAT_B), owner, _pair(rng, _SHADES, _COLOURS), cargo)


def _dish(rng: random.Random, cook: str) -> Entity:
    ingredient = _pair(rng, _ADJ_FOOD, _FOOD) if rng.random() < 0.5 else rng.choice(_FOOD)
    return entity("dish", _pair(rng, _DISH_A, _DISH_B), ingredient, cook, rng.choice(_DRINKS))


def elsewhere(rng: random.Random, *, things: int) -> World:
    """A small random world: one place and `things` more entities, at least one of them a person."""
    home = place_name(rng)
    people = [_person(rng)]
    others: list[Entity] = []
    for _ in range(things - 1):
        kind = rng.choice(("person", "person", "building", "festival", "boat", "dish"))
        keeper = rng.choice(people).name if rng.random() < 0.6 else _any_name(rng)
        if kind == "person":
            people.append(_person(rng))
        elif kind == "festival":
            others.append(_festival(rng))
        else:
            others.append({"building": _building, "boat": _boat, "dish": _dish}[kind](rng, keeper))
    return World(home, (_place(rng, home), *people, *others))
