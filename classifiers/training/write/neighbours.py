"""Neighbours: text that shares a word with a policy's messages and asks for something else.

"what does hello mean?" is no greeting, and "when does the zoo open?" asks no shop. Made from the policy's own words: a
word in a frame ("{word} in Excel"), or one of its messages about other people, places and things. Words that the policy
uses are no other things. English.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from classifiers import data

_WORD: Final = re.compile(r"[a-z][a-z'-]{2,}")
_SWAPS: Final = (
    ("people", re.compile(r"\byou\b", re.IGNORECASE), "{}"),
    ("owners", re.compile(r"\byour\b", re.IGNORECASE), "{}"),
    ("places", re.compile(r"\bthe [a-z']+", re.IGNORECASE), "the {}"),
    ("places", re.compile(r"\bthe [a-z']+ [a-z']+", re.IGNORECASE), "the {}"),
    ("belongings", re.compile(r"\bmy (?!money\b)[a-z']+", re.IGNORECASE), "my {}"),
)


def neighbours(messages: Sequence[str], most: int, chance: random.Random) -> list[tuple[str, str]]:
    """(frame, text), at most `most` and none twice: half a word in a frame, half a message about something else.

    Texts of one frame, or of one kind of message, are a group.
    """
    tables = data.table("neighbours.json")
    words = Counter(word for text in dict.fromkeys(messages) for word in set(_WORD.findall(text.lower())))
    for word in tables["common"]:
        del words[word]
    if not words:
        return []
    others = {kind: _unknown(tables[kind], words) for kind in ("things", *(kind for kind, _, _ in _SWAPS))}
    picked = chance.choices(list(words), [count**0.5 for count in words.values()], k=most // 2)
    framed = [
        (frame, frame.format(w=word, other=chance.choice(others["things"])))
        for word, frame in zip(picked, chance.choices(tables["frames"], k=len(picked)), strict=True)
    ]
    swapped = list(_swapped(messages, others, chance))
    chance.shuffle(swapped)
    return list(dict.fromkeys([*framed, *swapped[: most - len(framed)]]))


def _unknown(texts: Sequence[str], words: Mapping[str, int]) -> Sequence[str]:
    return [text for text in texts if not any(word in words for word in text.split())] or texts


def _swapped(
    messages: Sequence[str], others: Mapping[str, Sequence[str]], chance: random.Random
) -> Iterator[tuple[str, str]]:
    for message in dict.fromkeys(messages):
        for kind, pattern, form in _SWAPS:
            text = pattern.sub(form.format(chance.choice(others[kind])), message)
            if text != message:
                yield kind, text
