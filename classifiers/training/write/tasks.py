"""Tasks about a message, messages as people send them, what they add to one, and neighbours that share its words: text
that tells these apart.

Tasks differ by kind, form and language, so that the form of such a prompt is learned, and not a list of its words.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from classifiers import data

_NO_KINDS: Final = frozenset({"frames", "whole", "sent", "ordinary", "joined", "second", "asides"})
_PROMPTS: Final = 4
"""How many frames, each with another message, an instruction is put in."""
_WAYS: Final = 3
"""How many of the ways of sending a message each is put in."""
_WORD: Final = re.compile(r"[a-z][a-z'-]{2,}")
_SWAPS: Final = (
    ("people", re.compile(r"\byou\b", re.IGNORECASE), "{}"),
    ("owners", re.compile(r"\byour\b", re.IGNORECASE), "{}"),
    ("places", re.compile(r"\bthe [a-z']+", re.IGNORECASE), "the {}"),
    ("places", re.compile(r"\bthe [a-z']+ [a-z']+", re.IGNORECASE), "the {}"),
    ("belongings", re.compile(r"\bmy (?!money\b)[a-z']+", re.IGNORECASE), "my {}"),
)


def instructions() -> list[tuple[str, str]]:
    """(kind of task, instruction), without a message."""
    tasks = data.table("tasks.json")
    return [(kind, task) for kind, own in tasks.items() if kind not in _NO_KINDS for task in own]


def about_messages(messages: Sequence[str], chance: random.Random, each: int = _PROMPTS) -> list[tuple[str, str]]:
    """(kind of task, prompt) of tasks about the messages, at least one. each: prompts of an instruction."""
    tasks = data.table("tasks.json")
    prompts = [
        (kind, frame.format(task=task, x=chance.choice(messages)))
        for kind, task in instructions()
        for frame in chance.sample(tasks["frames"], each)
    ]
    # these hold the message inside of a sentence; each is a kind of its own
    for prompt in tasks["whole"]:
        prompts += [(prompt, prompt.format(x=chance.choice(messages))) for _ in range(each)]
    return prompts


def ordinary() -> tuple[str, ...]:
    """Messages that people send to all kinds of services."""
    return (*data.table("tasks.json")["ordinary"], *data.lines("everyday.txt"))


def as_sent(messages: Sequence[str], chance: random.Random, ways: int = _WAYS) -> list[tuple[str, str]]:
    """(message, text): each message by itself, and with what people write around it: a greeting, thanks."""
    sent = data.table("tasks.json")["sent"]
    each = (("{x}", *chance.sample(sent, ways)) for _ in messages)
    return [(message, way.format(x=message)) for message, own in zip(messages, each, strict=True) for way in own]


def asides() -> tuple[str, ...]:
    """What people add to a message: small talk, and circumstances that ask for nothing."""
    return data.table("tasks.json")["asides"]


def neighbours(messages: Sequence[str], most: int, chance: random.Random) -> list[tuple[str, str]]:
    """(frame, text), at most `most` and none twice: English text that shares a word with a policy's messages and asks
    for something else. Half are a word in a frame ("what does {w} mean?"), half a message about other places and things
    ("when does the zoo open?"). Texts of one frame, or of one kind of message, are a group."""
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
