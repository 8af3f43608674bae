"""The world's everyday language: weather, seasons, work, food, journeys, talk; no place, no name, no fact.

A small grammar; every `{rule}` is one of the productions below. It serves the general corpus and,
as the sentences between the facts, the sample place's documents.
"""

from __future__ import annotations

import random

from .telling import capital, expand

RULES: dict[str, tuple[str, ...]] = {
    "time": ("in the morning", "before noon", "in the afternoon", "towards evening", "after dark", "at first light",
             "around midday", "late in the day", "before breakfast", "when the lamps were lit"),
    "season": ("spring", "summer", "autumn", "winter"),
    "sky": ("the sky was {hue}", "clouds came over the hills", "the sun shone on the roofs", "a thin mist lay on the water",
            "the wind turned to the {quarter}", "rain fell on the {ground}", "frost lay on the {ground}",
            "snow covered the {ground}", "a {wind} wind blew from the {quarter}", "thunder rolled behind the hills",
            "the moon stood over the {ground}", "the air smelled of {smell}", "the first stars came out"),
    "hue": ("grey as slate", "pale and clear", "red at the edges", "the colour of milk", "blue from end to end", "low and dark"),
    "quarter": ("north", "south", "east", "west"),
    "wind": ("cold", "warm", "dry", "wet", "sharp", "gentle", "steady", "strong"),
    "ground": ("fields", "orchard", "road", "garden", "meadow", "roofs", "square", "path", "harbour", "stubble"),
    "smell": ("rain", "wood smoke", "bread", "wet leaves", "hay", "apples", "tar", "salt", "cut grass", "soup"),
    "folk": ("the old men", "the children", "two sisters", "the neighbours", "a few travellers", "the farmers", "the women",
             "my uncle and aunt", "the carters", "the schoolboys", "three friends", "the fishermen"),
    "one": ("an old man", "a young woman", "the {worker}", "a tall stranger", "my grandmother", "a boy with a basket",
            "the {worker}'s daughter", "a girl in a red coat", "our neighbour", "a soldier on leave", "the {worker}'s son"),
    "worker": ("baker", "miller", "carpenter", "blacksmith", "shepherd", "weaver", "potter", "cobbler", "tailor", "butcher",
               "fisherman", "gardener", "carter", "cooper", "roofer", "innkeeper", "saddler", "schoolteacher"),
    "did": ("mended the {thing}", "carried the {thing} to the {where}", "sat by the fire and talked of {topic}",
            "counted the {things} twice", "waited at the {where}", "sang an old song about {topic}", "went home early",
            "looked for the {thing}", "bought {things} at the {where}", "told a story about {topic}", "slept until noon",
            "opened the windows", "swept the {where}", "asked for news of {topic}", "shared bread and {drink}",
            "laughed until the {thing} fell over", "hung the {things} up to dry", "wrote a long letter about {topic}"),
    "thing": ("gate", "cart", "net", "lamp", "ladder", "basket", "kettle", "wheel", "bucket", "fence", "clock", "door", "boat",
              "bench", "coat", "roof", "saddle", "table", "drum", "umbrella"),
    "things": ("eggs", "apples", "nails", "candles", "sheep", "coins", "pears", "fish", "stockings", "onions", "letters",
               "chairs", "loaves", "ropes", "plates", "barrels", "boots", "hats"),
    "where": ("market", "bridge", "mill", "inn", "harbour", "square", "church", "barn", "well", "school", "gate", "yard",
              "ferry", "kitchen", "workshop", "corner shop"),
    "topic": ("the weather", "the harvest", "the price of flour", "the old days", "a wedding", "the long winter", "the road",
              "their children", "the flood", "a lost dog", "the new bridge", "the sea", "good bread", "a strange dream"),
    "drink": ("cider", "milk", "tea", "beer", "cold water", "soup"),
    "mood": ("tired", "glad", "hungry", "quiet", "wet to the skin", "in good spirits", "a little cross", "full of plans",
             "sorry to leave", "warm at last"),
    "because": ("because the {thing} was broken", "for the road was long", "since nobody wanted to go home",
                "because it had rained all week", "though the {things} were few", "while the {thing} stood in the yard",
                "as people do in {season}", "until {folk} called them in", "so that nothing was wasted"),
    "weather": ("{sky}, and {sky}", "{time} {sky}", "all that {season} {sky}", "by the time we reached the {where}, {sky}",
                "it was {season}, and {sky}", "when {sky}, {folk} {did}"),
    "event": ("{folk} {did}", "{one} {did}", "{time} {one} {did}", "{folk} {did} {because}", "{one} {did}, and {folk} {did}",
              "{one} came to the {where} and {did}", "at the {where} {folk} {did}", "{one} {did} {because}"),
    "wisdom": ("a {thing} is worth more than a promise", "whoever hurries in {season} rests in {season}",
               "good {things} need no praise", "one {worker} knows another by the hands", "rain before seven, dry by eleven",
               "an empty {where} tells no stories", "nobody ever mended a {thing} by looking at it",
               "small {things} make a full basket", "a quiet {worker} is a busy {worker}",
               "a guest who brings {things} may stay until {season}"),
    "custom": ("in {season} people {habit}", "{folk} {habit} when {sign}", "most houses have a {thing} by the door",
               "on long evenings {folk} {habit}", "a {worker} will {habit} if you ask politely", "every household keeps {things} in the cellar"),
    "habit": ("tell stories by the fire", "bake for the whole street", "bring the sheep down", "repair the walls", "dry {things} on the roof",
              "go to bed early", "salt fish", "plant beans", "visit their cousins", "dance in the {where}", "paint the boats",
              "walk to the {where} and back", "gather mushrooms", "cut reeds", "sharpen their tools"),
    "sign": ("the swallows come back", "the days grow short", "the first snow falls", "the apples are in", "the water is high",
             "the wind drops", "the market is over", "the bells ring"),
    "work": ("a {worker} needs a steady hand and a good {thing}", "the {worker} starts work {start} and stops when {sign}",
             "it takes seven years to become a {worker}", "the best tool of a {worker} is patience",
             "a {worker} seldom has time for {topic}", "the {worker} and the {worker} share a yard, a well and a cat",
             "apprentices of the {worker} carry {things} and learn to keep quiet"),
    "start": ("at five", "at six", "before dawn", "with the first bell", "after a bowl of porridge"),
    "way": ("the road goes over the hill, past the {where}, and down to the {where}", "it is {hours} on foot and half that by cart",
            "turn {side} at the {where} and follow the smell of {smell}", "the path by the water is shorter but wetter",
            "nobody should cross the hills in {season} without a {thing}", "from the {where} you can see three valleys on a clear day",
            "the ferry waits for nobody, except for the {worker}", "ask at the {where}; somebody will lend you a {thing}"),
    "hours": ("one hour", "two hours", "three hours", "half a day", "a long morning"),
    "side": ("left", "right"),
    "meal": ("supper was {drink} with bread and {things}", "a good soup wants onions, time and no hurry",
             "stir slowly, taste often, and never leave the pot", "bread is best on the second day, with butter",
             "cut the {veg} small and fry them until they are golden", "add salt at the end and pepper at the table",
             "leave the dough by the stove until it has doubled", "what is left over is for the morning, or for the dog",
             "{folk} ate in the {where}, because the kitchen was full of {things}"),
    "veg": ("onions", "carrots", "turnips", "leeks", "mushrooms", "apples", "beans"),
    "say": ("said {one}", "asked {one}", "answered {one}", "cried {one}", "called {one} from the {where}"),
    "speech": ("\"Have you seen my {thing}?\" asked {one}. \"It is at the {where},\" said {one}, \"where you left it.\"",
               "\"It will rain,\" said {one}. \"It always does in {season},\" answered {one}.",
               "\"What do {things} cost today?\" asked {one}. \"More than yesterday,\" said {one}.",
               "\"Good morning,\" said {one}. \"Is the {where} open?\" \"Not before {sign},\" came the answer.",
               "\"You look {mood},\" said {one}. \"I have walked {hours},\" answered {one}, \"and carried a {thing}.\"",
               "\"{Wisdom},\" said {one}, and {folk} nodded.",
               "\"Tell us about {topic},\" said {folk}. So {one} {did}."),
    "Wisdom": ("Nobody ever mended a {thing} by looking at it", "Small {things} make a full basket", "Good {things} need no praise",
               "A {thing} is worth more than a promise"),
    "close": ("so the day ended, and everyone was {mood}", "we were {mood} when we came home", "that is how it was, and how it is still",
              "nobody was in a hurry", "after that there was nothing to do but wait for {season}", "and so to bed"),
}  # fmt: skip

_SHAPES: dict[str, tuple[str, ...]] = {
    "Weather": ("weather", "weather", "event", "custom"),
    "Seasons": ("custom", "weather", "work", "event"),
    "At work": ("work", "event", "work", "speech"),
    "On the road": ("way", "weather", "event", "way"),
    "In the kitchen": ("meal", "event", "meal", "speech"),
    "Talk": ("speech", "event", "speech", "wisdom"),
    "A day": ("weather", "event", "event", "speech", "close"),
    "Sayings": ("wisdom", "custom", "wisdom", "wisdom"),
}


def sentence(rng: random.Random, rule: str) -> str:
    """One sentence of a kind: weather, event, custom, work, way, meal, wisdom, speech or close."""
    text = capital(expand(rng, "{" + rule + "}", RULES))
    return text if text.endswith((".", '"', "?")) else text + "."


def paragraph(rng: random.Random, shape: str) -> str:
    """A paragraph of four to seven sentences on one subject."""
    rules = _SHAPES[shape]
    return " ".join(
        sentence(rng, rule) for rule in (*rules, *rng.sample(rules, rng.randint(0, min(3, len(rules)))))
    )


def document(rng: random.Random) -> str:
    """A markdown document of a few headed paragraphs."""
    shapes = rng.sample(sorted(_SHAPES), rng.randint(1, 3))
    return "\n\n".join(f"## {shape}\n\n{paragraph(rng, shape)}" for shape in shapes)
