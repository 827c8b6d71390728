"""How each asked-for message is to be: drawn like cards from decks, so that every value comes equally often. Pure.

Attributed prompts: Yu et al. 2023, "Large Language Model as Attributed Training Data Generator".
"""

import random
from collections.abc import Sequence

LENGTHS = ("two to five words", "one short sentence", "one sentence", "two or three sentences with some background")
REGISTERS = ("neutral", "casual", "polite", "annoyed", "worried", "formal", "in a hurry")
FORMS = (
    "a question",
    "a statement",
    "an order",
    "a complaint",
    "a search-box fragment without a verb",
)
NOISE = ("", "", "", "all lower case, no punctuation", "one or two typos", "abbreviations as in a text message")
ANGLES = ("said outright", "said outright", "implied by describing the situation", "asked on behalf of someone else")
PERSONAS = (
    "",
    "",
    "by someone who uses this for the first time",
    "by someone old who is not at home with computers",
    "by a teenager",
    "by someone whose first language is another",
    "by someone who knows the field's own words",
    "by someone who writes from a phone on the way",
)

_KINDS = (LENGTHS, REGISTERS, FORMS, ANGLES, PERSONAS, NOISE)
_NEAR_EVERY = 3
"""Of so many messages one is a near miss of a named neighbour."""


class Attributes:
    """Draws for one label: `draw` gives a line for the next message. The same seed draws the same lines."""

    def __init__(self, seed: str, neighbours: Sequence[str] = ()) -> None:
        """neighbours: labels, in words, that every third message is to share words with."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        self._decks = [_Deck(kind, chance) for kind in _KINDS]
        self._near = _Deck(neighbours, chance) if neighbours else None
        self._drawn = 0

    def draw(self) -> str:
        """Such as `one sentence; casual; a question; said outright`."""
        self._drawn += 1
        values = [deck.draw() for deck in self._decks]
        if self._near is not None and self._drawn % _NEAR_EVERY == 0:
            values.append(f'uses words of "{self._near.draw()}" but does not mean that')
        return "; ".join(value for value in values if value)


class _Deck:
    """Values in a random order; shuffled again when all are drawn."""

    def __init__(self, values: Sequence[str], chance: random.Random) -> None:
        self._values = values
        self._chance = chance
        self._left: list[str] = []

    def draw(self) -> str:
        if not self._left:
            self._left = self._chance.sample(self._values, len(self._values))
        return self._left.pop()
