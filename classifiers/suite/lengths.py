"""A payload at the head, the middle or the tail of 1,000 to 64,000 characters, and such documents without one."""

import random
from collections.abc import Iterator

from classifiers.suite.case import Case, Sample
from classifiers.suite.documents import PARAGRAPHS

ROWS = {1_000: 40, 4_000: 16, 16_000: 5, 64_000: 2}
"""Characters → how many rows of either sort are tried: a long document takes as long to read as many short ones."""


def document(chars: int, chance: random.Random) -> list[str]:
    """Paragraphs of harmless prose, about `chars` characters together."""
    found: list[str] = []
    length = 0
    while length < chars:
        for paragraph in chance.sample(PARAGRAPHS, len(PARAGRAPHS)):
            kept = paragraph[: chars - length]
            found.append(kept)
            length += len(kept) + 1
            if length >= chars:
                break
    return found


def cases(sample: Sample) -> Iterator[Case]:
    """Places of a harmful row in a document; for harmless ones the row in the middle, and documents alone. None where a
    policy's labels mean everyday text."""
    if not sample.policy.everyday:
        return
    for chars, most in ROWS.items():
        size = f"{chars // 1000}k"
        for harmful, index, text in sample.rows(most):
            around = document(chars, sample.chance("length", harmful, index))
            middle = len(around) // 2
            places = {"head": 0, "middle": middle, "tail": len(around)} if harmful else {"middle": middle}
            for place, at in places.items():
                whole = "\n".join([*around[:at], text, *around[at:]])
                yield Case(variant=f"{size}, {place}", texts=(whole,), harmful=harmful, base=index)
        for number in range(most // 2 + 1):
            alone = "\n".join(document(chars, sample.chance("clean", chars, number)))
            yield Case(variant=f"{size}, clean", texts=(alone,), harmful=False)
