"""Text without labels, made of a policy's own: what a small encoder learns a large one's judgement from. Pure.

Parts of rows and rows beside each other are neither the rows themselves nor far from them; what holds for such a text
is for the large encoder to say.
"""

import random
from collections.abc import Callable, Sequence

_SHORTEST = 6
"""Words of a text that is parted."""


def recombined(texts: Sequence[str], count: int, seed: int, *, everyday: Sequence[str]) -> list[str]:
    """`count` texts, or fewer where there is little to combine; the same for the same texts and seed. everyday: what
    may stand beside them."""
    if not texts:
        return []
    chance = random.Random(seed)  # noqa: S311 - no secret
    ways: list[Callable[[str, str], str]] = [_beside, _crossed, _first, _last, _beside_everyday(chance, everyday)]
    known = set(texts)
    made: dict[str, None] = {}
    for turn in range(4 * count):
        text = ways[turn % len(ways)](chance.choice(texts), chance.choice(texts))
        if text and text not in known:
            made[text] = None
        if len(made) == count:
            break
    return list(made)


def drawn(systems: Sequence[str], count: int, seed: int) -> list[str]:
    """A system prompt for each of `count` texts, as often one and as often none as among those of the rows."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return chance.choices(systems, k=count) if systems else [""] * count


def _beside(one: str, other: str) -> str:
    return f"{one} {other}"


def _crossed(one: str, other: str) -> str:
    return f"{_first(one, other)} {_last(other, one)}".strip()


def _first(one: str, _: str) -> str:
    words = one.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= _SHORTEST else ""


def _last(one: str, _: str) -> str:
    words = one.split()
    return " ".join(words[len(words) // 2 :]) if len(words) >= _SHORTEST else ""


def _beside_everyday(chance: random.Random, everyday: Sequence[str]) -> Callable[[str, str], str]:
    def make(one: str, _: str) -> str:
        if not everyday:
            return ""
        pair = [one, chance.choice(everyday)]
        chance.shuffle(pair)
        return " ".join(pair)

    return make
