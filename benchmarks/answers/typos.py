"""Each policy's own examples with one, two or three typos: how many get a wrong label."""

import random
from collections.abc import Iterator
from pathlib import Path

from classifiers import Runtime
from classifiers.policy import OTHER, Policy
from classifiers.verdict import Reading

_SEED = 29
_TIMES = 3
"""How often each example is mistyped."""


def mistyped(text: str, typos: int, chance: random.Random) -> str:
    """A text with so many slips: a letter dropped, doubled, replaced or swapped with the next."""
    for _ in range(typos):
        places = [place for place, letter in enumerate(text[:-1]) if letter.isalpha() and text[place + 1].isalpha()]
        if not places:
            return text
        place = chance.choice(places)
        a, b = text[place], text[place + 1]
        slip = chance.choice((b, a + a + b, chance.choice("abcdefghijklmnopqrstuvwxyz") + b, b + a))
        text = text[:place] + slip + text[place + 2 :]
    return text


def lines(policy: Policy, models: Path) -> Iterator[str]:
    """A row of the table for each number of typos. Wrong: another label, or `other`; no label is no answer."""
    runtime = Runtime.load(models, [policy.name], threads=2)
    examples = [(text, name) for name, label in policy.labels.items() for text in label.examples] * _TIMES
    chance = random.Random(_SEED)
    for typos in (0, 1, 2, 3):
        texts = [mistyped(text, typos, chance) for text, _ in examples]
        verdicts = runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text in texts])
        named = [verdict.labels[:1] for verdict in verdicts]
        right = sum(own == (label,) for own, (_, label) in zip(named, examples, strict=True))
        others = sum(own == (OTHER,) for own in named)
        wrong = sum(bool(own) and own != (label,) for own, (_, label) in zip(named, examples, strict=True))
        total = len(examples)
        yield (
            f"| {policy.name} | {typos} | {total} | {right / total:.1%} | {wrong / total:.1%} | {others / total:.1%} |"
        )
