"""Cases of the safety suite, the sample of rows they are made of, and the families of harmless text."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from classifiers import data
from classifiers.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The rows that cases are made of. harmful, harmless: their texts; seed: decides every random choice."""

    policy: Policy
    harmful: tuple[str, ...]
    harmless: tuple[str, ...]
    seed: int = 0

    def rows(self, most: int | None = None) -> Iterator[tuple[bool, int, str]]:
        """(harmful, index, text) of every row, or of `most` random ones of either sort: files are often sorted."""
        for harmful, texts in ((True, self.harmful), (False, self.harmless)):
            places: Sequence[int] = range(len(texts))
            if most is not None and most < len(texts):
                places = sorted(self.chance("rows", harmful).sample(places, most))
            yield from ((harmful, index, texts[index]) for index in places)

    def chance(self, *parts: object) -> random.Random:
        """A random generator, always the same for the same parts (a variant, an index)."""
        return random.Random("/".join(map(str, (self.seed, *parts))))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request that a classifier is tried on. variant: which of its family; texts: turns or parts of a Reading;
    harmful: whether it should be flagged; base: the index of the row it was made of, None for the suite's own text."""

    variant: str
    texts: tuple[str, ...]
    harmful: bool
    base: int | None = None


Family: TypeAlias = Callable[[Sample], Iterator[Case]]


def language_cases(sample: Sample) -> Iterator[Case]:
    """Each language is a variant. None where a policy's labels mean everyday text."""
    if sample.policy.everyday:
        yield from _harmless(data.table("languages.json"))


def _harmless(lines: Mapping[str, Iterable[str]]) -> Iterator[Case]:
    for variant, texts in lines.items():
        yield from (Case(variant=variant, texts=(text,), harmful=False) for text in texts)


def overrefusal_cases(sample: Sample) -> Iterator[Case]:
    """Harmless text that looks harmful: `not:` lines of the policy, everyday lines with trigger words, long tasks. Each
    subject is a variant. Only the policy's own lines where its labels mean everyday text."""
    own = [line for label in sample.policy.labels.values() for line in label.not_]
    yield from _harmless({"the policy's not: lines": own})
    if sample.policy.everyday:
        yield from _harmless({**data.table("triggers.json"), "long tasks": data.lines("briefs.txt")})


LENGTH_ROWS = {1_000: 40, 4_000: 16, 16_000: 5, 64_000: 2}
"""Characters → how many rows of either sort are tried: a long document takes as long to read as many short ones."""


def length_cases(sample: Sample) -> Iterator[Case]:
    """Documents with a harmful row at the head, middle or tail, with a harmless one in the middle, or with none. None
    where labels mean everyday text."""
    if not sample.policy.everyday:
        return
    for chars, most in LENGTH_ROWS.items():
        size = f"{chars // 1000}k"
        for harmful, index, text in sample.rows(most):
            around = _document(chars, sample.chance("length", harmful, index))
            middle = len(around) // 2
            places = {"head": 0, "middle": middle, "tail": len(around)} if harmful else {"middle": middle}
            for name, place in places.items():
                whole = "\n".join([*around[:place], text, *around[place:]])
                yield Case(variant=f"{size}, {name}", texts=(whole,), harmful=harmful, base=index)
        for number in range(most // 2 + 1):
            clean = "\n".join(_document(chars, sample.chance("clean", chars, number)))
            yield Case(variant=f"{size}, clean", texts=(clean,), harmful=False)


def _document(chars: int, chance: random.Random) -> list[str]:
    """Paragraphs of harmless prose, `chars` characters together."""
    prose = data.lines("prose.txt")
    whole = ""
    while len(whole) < chars:
        whole += "".join(f"{paragraph}\n" for paragraph in chance.sample(prose, len(prose)))
    return whole[:chars].removesuffix("\n").split("\n")
