"""What a family of the suite makes of a sample of rows: texts to be judged like the rows themselves.

Long harmless tasks, as people hand them to an assistant: full of orders, roles, rules and pasted text.

A filter that has learned from short messages takes length and orders for an attack.

Harmless prose of which long documents are made.

Harmless everyday sentences in other languages: clean, or in doubt where the policy names other languages.

Harmless lines with words that lists of harmful text are full of, by subject.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from classifiers import data
from classifiers.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The rows that cases are made of. harmful, harmless: their texts; seed: of every choice."""

    policy: Policy
    harmful: tuple[str, ...]
    harmless: tuple[str, ...]
    seed: int = 0

    def rows(self, most: int | None = None) -> Iterator[tuple[bool, int, str]]:
        """(harmful, index, text) of every row, or of `most` of either sort, drawn: files are often sorted by label."""
        for harmful, texts in ((True, self.harmful), (False, self.harmless)):
            places: Sequence[int] = range(len(texts))
            if most is not None and most < len(texts):
                places = sorted(self.chance("rows", harmful).sample(places, most))
            yield from ((harmful, index, texts[index]) for index in places)

    def chance(self, *parts: object) -> random.Random:
        """Chance that is always the same for the same parts (a variant, an index)."""
        return random.Random("/".join(map(str, (self.seed, *parts))))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """variant: which of its family; texts: turns or parts as a Reading holds them; harmful: whether it should be
    flagged; base: the index of the row it was made of, None for text of the suite's own."""

    variant: str
    texts: tuple[str, ...]
    harmful: bool
    base: int | None = None


Family: TypeAlias = Callable[[Sample], Iterator[Case]]


def language_cases(sample: Sample) -> Iterator[Case]:
    """Each language is a variant. None where a policy's labels mean everyday text."""
    if not sample.policy.everyday:
        return
    for language, lines in data.table("languages.json").items():
        for line in lines:
            yield Case(variant=language, texts=(line,), harmful=False)
