"""What a teacher is asked in a round: messages of two labels that are taken for each other, line by line. Pure."""

from collections.abc import Iterator, Sequence

from classifiers.policy import NONE, OTHER, Policy
from classifiers.training.confused import Pair
from classifiers.training.confusion import shortened
from classifiers.training.write.attributes import Attributes
from classifiers.training.write.prompts import HARMLESS, NEITHER, Ask, described, keyed_ask, scope

WANTED = 6
"""Messages of each of a pair's labels."""


def contrast_asks(policy: Policy, pairs: Sequence[Pair], number: int, seed: int) -> list[Ask]:
    """A prompt for each pair. number: of the round, from 1."""
    return [_ask(policy, pair, number, seed) for pair in pairs]


def _ask(policy: Policy, pair: Pair, number: int, seed: int) -> Ask:
    name = f"{pair.first}+{pair.second}"
    drawn = Attributes(f"{seed}/round {number}/{name}")
    none = HARMLESS if policy.kind == "safety" else NEITHER
    second = none if pair.second == NONE else pair.second
    keys = {pair.first: (pair.first,), second: () if pair.second == NONE else (pair.second,)}
    lines = [
        f"You write realistic test data. Context: {policy.about}",
        *(
            _against_nothing(policy, pair, second)
            if pair.second in {NONE, OTHER}
            else _against_each_other(policy, pair)
        ),
        f"Write {WANTED} messages of each kind in pairs: the same topic and nearly the same words, so that only what",
        "is meant tells the two apart. A careful reader must have no doubt about any of them.",
    ]
    return keyed_ask(policy, lines, keys, wanted=WANTED, batch=f"round {number}/{name}", drawn=drawn)


def _against_each_other(policy: Policy, pair: Pair) -> Iterator[str]:
    first, second = described(policy, pair.first), described(policy, pair.second)
    yield f"A classifier takes two kinds of message for each other: {first} and {second}."
    yield from _mistaken(pair.first, pair.second, pair.first_texts)
    yield from _mistaken(pair.second, pair.first, pair.second_texts)


def _against_nothing(policy: Policy, pair: Pair, key: str) -> Iterator[str]:
    yield f"A classifier does not yet know {described(policy, pair.first)} from messages that are not that at all."
    yield from _mistaken(pair.first, key, pair.first_texts)
    yield from _mistaken(key, pair.first, pair.second_texts)
    if pair.second == NONE:
        yield f'Under "{key}" write messages that are nothing of the kind, although they look it.'
    else:
        yield f'Under "{key}" write messages that are out of scope ({policy.other}), although they look like that.'
        yield f"None of those may be about any of these: {scope(policy)}"


def _mistaken(truth: str, said: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        shown = "; ".join(map(shortened, texts))
        yield f'These are "{truth}" and were taken for "{said}", do not repeat them: {shown}'
