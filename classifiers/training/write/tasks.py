"""Tasks about a message, messages as people send them, and what they add to one: text that tells these apart.

Tasks differ by kind, form and language, so that the form of such a prompt is learned, and not a list of its words.
"""

import random
from collections.abc import Sequence
from typing import Final

from classifiers import data

_NO_KINDS: Final = frozenset({"frames", "whole", "sent", "ordinary", "joined", "second", "asides"})
_PROMPTS: Final = 4
"""How many frames, each with another message, an instruction is put in."""
_WAYS: Final = 3
"""How many of the ways of sending a message each is put in."""


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
