"""What people put around what they mean, and how they mangle it. Nothing here changes the meaning. Pure."""

import random

from classifiers.slots.markup import words as words_of

AROUND_A_MESSAGE = (
    "Hi, {x}",
    "{x} Please help.",
    "hello there, {x} thanks",
    "I don't understand: {x}",
    "Sorry to bother you but {x}",
    "quick question, {x}",
    "{x} Can you help me?",
    "{x} I've been waiting for days and I'm quite annoyed.",
    "{x} asap",
    "Could you tell me: {x}",
)
_FILLER = frozenset(
    {"a", "an", "the", "please", "just", "really", "very", "so", "to", "of", "for", "my", "me", "i", "i'm", "i've"}
    | {"is", "are", "was", "it's", "do", "does", "did", "can", "could", "would"}
)
_SHORTEST_TO_MANGLE = 4


def plain(text: str) -> str:
    """As typed in a hurry: lower case, no closing mark."""
    return text.lower().rstrip(".?! ")


def short(text: str) -> str:
    """As typed into a search box: filler words left out. The text itself where nothing would be left."""
    words = [word for word in plain(text).replace(",", "").split() if word not in _FILLER]
    return " ".join(words) if len(words) > 1 else plain(text)


def mistyped(text: str, chance: random.Random) -> str:
    """One slip in every six words or so, none of them in a mark: a letter dropped, doubled or swapped with the next."""
    words = words_of(text)
    for _ in range(1 + len(words) // 6):
        place = chance.randrange(len(words))
        word = words[place]
        if len(word) >= _SHORTEST_TO_MANGLE and "](" not in word:
            at = chance.randrange(len(word) - 1)
            slips = (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            )
            words[place] = chance.choice(slips)
    return " ".join(words)
