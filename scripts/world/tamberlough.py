"""The facts of Tamberlough, an invented lake town, with its hamlets, people, buildings and customs.

Everything here is made up. No name of this module may occur in the general language (a test holds it).
"""

from __future__ import annotations

from functools import cache

from .entities import Entity, World, entity

_PLACES = (
    ("Tamberlough", "the Issen", "Anvil Pike", "Aldith Marrock", "Thursday", "blue glass"),
    ("Uskerby", "the Pellow", "Magpie Fell", "Corven Thrale", "Monday", "walnut chairs"),
    ("Drennock", "the Trill", "Cloak Hill", "Hawis Umber", "Saturday", "roof slate"),
    ("Quillhythe", "the Wisk", "Harrier Top", "Jossel Pike", "Tuesday", "reed baskets"),
    ("Pardle", "the Dunnet", "Kettle Crag", "Merrial Snow", "Friday", "winter pears"),
    ("Osmarrow", "the Amberlode", "Widow Fell", "Taddeus Kine", "Wednesday", "sheep cheese"),
)

_PEOPLE = (
    ("she", "Maren Oskill", "baker", "Lantern Street", "plum dumplings", "a white goose"),
    ("he", "Tobin Quelch", "ferryman", "Willow Quay", "smoked eel", "a one-eyed cat"),
    ("she", "Ysolt Brannagh", "clockmaker", "Candle Steps", "honey cake", "a green parrot"),
    ("he", "Corrin Vasp", "cooper", "Saltgate", "pea soup", "an old hound"),
    ("she", "Hesper Lunt", "weaver", "Heron Lane", "baked apples", "two black kittens"),
    ("he", "Dorrick Amble", "beekeeper", "Orchard Rise", "barley bread", "a brown donkey"),
    ("she", "Wilmet Sarn", "glassblower", "Thimble Court", "pickled herring", "a tame jackdaw"),
    ("he", "Jory Pennick", "saddler", "Drover Hill", "mutton stew", "a spotted pony"),
    ("she", "Elspa Trewin", "miller", "Willow Quay", "cheese pancakes", "a red hen"),
    ("he", "Anselm Crake", "schoolteacher", "Candle Steps", "lemon tart", "a slow tortoise"),
    ("she", "Tamsa Rooke", "rope maker", "Saltgate", "fried trout", "a grey terrier"),
    ("he", "Bevin Oduray", "potter", "Heron Lane", "onion pie", "a striped cat"),
    ("she", "Linnet Hask", "net mender", "Willow Quay", "mussel broth", "a lame seagull"),
    ("he", "Ruddock Fayle", "bell ringer", "Lantern Street", "toasted cheese", "a barn owl"),
    ("she", "Sabeth Moil", "apothecary", "Thimble Court", "nettle soup", "a black rabbit"),
    ("he", "Gwillam Tosk", "bookbinder", "Candle Steps", "ginger biscuits", "a quiet spaniel"),
    ("she", "Nerissa Pold", "stonemason", "Drover Hill", "roast duck", "a stubborn mule"),
    ("he", "Olwick Jarr", "candle maker", "Lantern Street", "rice pudding", "a pair of doves"),
    ("she", "Kessa Wyndle", "shepherd", "Orchard Rise", "potato cakes", "a shaggy sheepdog"),
    ("he", "Barnam Threlk", "innkeeper", "Saltgate", "rabbit pie", "a fat ginger cat"),
)

_BUILDINGS = (
    ("the Gull Tower", "1684", "Edrin Stave", "grey granite", "Ruddock Fayle"),
    ("the Long Granary", "1731", "Matild Corvane", "tarred oak", "Elspa Trewin"),
    ("the Reed Ferry House", "1702", "Osric Tallow", "river stone", "Tobin Quelch"),
    ("the Glass Hall", "1768", "Lavena Brisk", "green slate", "Wilmet Sarn"),
    ("the Three Keys Inn", "1655", "Hob Castellan", "red brick", "Barnam Threlk"),
    ("the Lark School", "1812", "Philla Dunmarrow", "yellow brick", "Anselm Crake"),
    ("the Dial House", "1749", "Ivo Sandery", "white limestone", "Ysolt Brannagh"),
    ("the Salt Cellar", "1698", "Greta Ironmonk", "black basalt", "Corrin Vasp"),
    ("the Bee Chapel", "1620", "Saint Wulla", "golden sandstone", "Dorrick Amble"),
    ("the Folded Library", "1790", "Casper Elmhurdle", "chestnut timber", "Gwillam Tosk"),
)

_FESTIVALS = (
    ("Lamp Night", "November", "roast chestnuts", "gold"),
    ("the Feast of Nets", "May", "fish soup", "blue"),
    ("Goose Sunday", "September", "goose pie", "white"),
    ("the Thaw Fair", "March", "sweet dumplings", "green"),
    ("Bell Week", "January", "spiced buns", "red"),
    ("Midwater Day", "July", "cherry tart", "yellow"),
)

_BOATS = (
    ("the Grey Wagtail", "Tobin Quelch", "dark green", "barrels of salt"),
    ("the Patient Margit", "Linnet Hask", "bright red", "fresh perch"),
    ("the Second Promise", "Elspa Trewin", "pale yellow", "sacks of flour"),
    ("the Little Thunder", "Nerissa Pold", "coal black", "blocks of stone"),
    ("the Marsh Candle", "Olwick Jarr", "sky blue", "bundles of reed"),
)

_DISHES = (
    ("quay stew", "smoked eel", "Tobin Quelch", "dark beer"),
    ("tower bread", "hazelnuts", "Maren Oskill", "warm milk"),
    ("keyhole pudding", "black cherries", "Barnam Threlk", "plum brandy"),
    ("fell broth", "mutton and leeks", "Kessa Wyndle", "pear cider"),
    ("chapel loaf", "heather honey", "Dorrick Amble", "mint tea"),
)


def _people() -> list[Entity]:
    return [entity("person", name, *values, pronoun=pronoun) for pronoun, name, *values in _PEOPLE]


def tamberlough() -> World:
    """The sample domain: 51 entities and 198 facts."""
    entities = [entity("place", *row) for row in _PLACES] + _people()
    entities += [entity("building", *row) for row in _BUILDINGS]
    entities += [entity("festival", *row) for row in _FESTIVALS]
    entities += [entity("boat", *row) for row in _BOATS]
    entities += [entity("dish", *row) for row in _DISHES]
    return World("Tamberlough", tuple(entities))


@cache
def proper_names() -> frozenset[str]:
    """Every name that belongs to this place alone: whole names, and each word of people's and places' names."""
    world = tamberlough()
    whole = {thing.name.removeprefix("the ") for thing in world.entities}
    named = {
        value.removeprefix("the ")
        for thing in world.entities
        for relation, value in thing.facts
        if relation in ("river", "hill", "founder", "street", "builder")
    }
    people = {person.name for person in world.of_kind("person")}
    founders = {
        value
        for thing in world.entities
        for relation, value in thing.facts
        if relation in ("founder", "builder")
    }
    words = {word for name in people | founders for word in name.split()}
    return frozenset(whole | named | (words - {"Pike", "Snow", "Amble", "Saint", "Brisk"}))
