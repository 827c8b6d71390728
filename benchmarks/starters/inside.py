"""Harmful text inside harmless text: the same requests alone, among messages of others, and those messages alone."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.starters.sets import BANK, Rows

_DRAWN, _LONGEST = 150, 300
"""Harmful texts of at most so many characters, drawn with a fixed seed."""
_AMONG = (4, 20, 60)
_SENTENCE_ENDS = re.compile(r"[.!?]\s+|\n+")


def short(sets: Mapping[str, Rows]) -> tuple[str, list[str]]:
    """(what, texts) drawn from the first set that is all harmful."""
    what, rows = next((what, rows) for what, rows in sets.items() if all(harmful for _, harmful in rows))
    texts = [text for text, _ in rows if len(text) <= _LONGEST]
    return what, random.Random(0).sample(texts, min(_DRAWN, len(texts)))


def among(sets: Mapping[str, Rows]) -> Iterator[tuple[str, list[str]]]:
    """(what, texts) of the harmful ones alone, each in the midst of messages to a bank, and as many such messages."""
    what, texts = short(sets)
    yield f"{what}, at most {_LONGEST} characters, alone", texts
    bank = [text for text, _ in sets[BANK]]
    for count in _AMONG:
        chance = random.Random(count)
        drawn = [chance.sample(bank, count) for _ in texts]
        half = count // 2
        yield (
            f"each among {count} messages of {BANK}",
            [" ".join([*messages[:half], text, *messages[half:]]) for text, messages in zip(texts, drawn, strict=True)],
        )
        yield f"{count} such messages without one", [" ".join(messages) for messages in drawn]


def within(texts: Sequence[str], pages: Sequence[str]) -> list[str]:
    """Each text between two sentences of a page, drawn with a fixed seed; pages are taken in turn."""
    chance = random.Random(0)
    made = []
    for number, text in enumerate(texts):
        page = pages[number % len(pages)]
        place = chance.choice([0, *(end.end() for end in _SENTENCE_ENDS.finditer(page)), len(page)])
        made.append(f"{page[:place]} {text} {page[place:]}".strip())
    return made
