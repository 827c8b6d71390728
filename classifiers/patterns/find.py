"""A text → the places where it holds personal data that can be told by its form. Pure, and linear in its length."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from classifiers.patterns import card, email, iban, ip, national, phone, secret
from classifiers.patterns.kind import KINDS, Kind
from classifiers.patterns.plain import plain

_FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    # where two kinds claim the same characters, the first here names them
    "secret": secret.find,
    "email": email.find,
    "iban": iban.find,
    "card": card.find,
    "national_id": national.find,
    "ip": ip.find,
    "phone": phone.find,
}
_ORDER = tuple(_FINDERS)
_CHECKED: frozenset[Kind] = frozenset({"iban", "card", "national_id"})
_NUMBERS: frozenset[Kind] = frozenset({"card", "national_id", "ip", "phone"})
"""Numbers with check digits, and what may seem to lie within one, being a part of it."""

_STEP = 1 << 15
_LOOK = 1 << 10
"""Characters; a text is read in steps, so that no search keeps others waiting, each with a look around its edges."""
_LONGEST = 1 << 14


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """start, end: characters of the text as it was given, end exclusive. also: weaker kinds that were found there."""

    start: int
    end: int
    kind: Kind
    also: tuple[Kind, ...] = ()


def find(text: str, kinds: Iterable[Kind] = KINDS, between: Callable[[], None] = lambda: None) -> list[Found]:
    """What of some kinds a text holds, by start; none overlap.

    between: called now and then; what it raises ends the search.
    """
    wanted = [kind for kind in _ORDER if kind in set(kinds)]
    found: list[Found] = []
    if "secret" in wanted:
        found += [Found(start, end, "secret") for start, end in secret.blocks(text)]
    for start in range(0, len(text), _STEP):
        begin, end = max(0, start - _LOOK), _end(text, start + _STEP + _LOOK)
        read = plain(text[begin:end])
        for kind in wanted:
            between()
            for first, last in _FINDERS[kind](read.text):
                place, stop = read.origin(first, last)
                if start <= place + begin < start + _STEP:
                    found.append(Found(place + begin, stop + begin, kind))
    return _apart(found)


def _end(text: str, least: int) -> int:
    """Where a step's look ahead ends: no word is cut, however long within reason."""
    if least >= len(text):
        return len(text)
    for place in range(least, min(len(text), least + _LONGEST)):
        if text[place].isspace():
            return place
    return min(len(text), least + _LONGEST)


def _apart(found: list[Found]) -> list[Found]:
    """Those that overlap become one of all their kinds: what any of them covers is covered."""
    kinds: dict[tuple[int, int], set[Kind]] = {}
    for one in found:
        kinds.setdefault((one.start, one.end), set()).add(one.kind)
    parted: list[tuple[int, int, set[Kind]]] = []
    checked = 0
    for start, end in sorted(kinds, key=lambda place: (place[0], -place[1])):
        told = kinds[start, end] if end > checked else kinds[start, end] - _NUMBERS
        if told & _CHECKED:
            checked = max(checked, end)
        if told and parted and start < parted[-1][1]:
            first, last, others = parted.pop()
            parted.append((first, max(last, end), others | told))
        elif told:
            parted.append((start, end, told))
    return [_named(*place) for place in parted]


def _named(start: int, end: int, kinds: set[Kind]) -> Found:
    first, *others = sorted(kinds, key=_ORDER.index)
    return Found(start, end, first, tuple(others))
