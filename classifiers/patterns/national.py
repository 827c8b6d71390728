"""Numbers that a state gives to a person, by form and check digits; where those are weak, only beside a word for them.

The check digits are python-stdnum's, of which a country's module is imported when a text first has its form.
"""

import re
from collections.abc import Callable, Iterator
from importlib import import_module

from classifiers.patterns.digits import AFTER, compact, near
from classifiers.patterns.national_forms import BARE, SAID

_FORMS: tuple[tuple[str, re.Pattern[str], re.Pattern[str] | None], ...] = (
    *((name, re.compile(f"(?:{form}){AFTER}"), None) for name, form in BARE),
    *((name, re.compile(f"(?:{form}){AFTER}"), re.compile(words)) for name, form, words in SAID),
)
_ANY = re.compile("(?:" + "|".join(form for _, form, *_ in (*BARE, *SAID)) + ")" + AFTER)
_DIGITS = re.compile(r"\d(?<!\d\d)(?:(?<=[A-Za-z]\d)|(?=(?:[ ./+-]?[A-Za-z0-9]){5}))")
"""The first of some: behind a letter, or before as many as the shortest form of digits has."""
_LETTERS = re.compile(r"(?:(?P<first>[A-Za-z]{3})[ -])?(?P<last>[A-Za-z]{1,6})[ -]?$")
"""Before the first digit, perhaps in two groups."""
_BEGINS = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))")
_SIGNED = frozenset({"se.personnummer", "fi.hetu"})
"""Whose sign between the groups says the century. Of others, the library may not know all separators in use."""
_NO_NINO = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number. The same digits may be found twice."""
    for digit in _DIGITS.finditer(text):
        place = digit.start()
        lettered = any(map(str.isalpha, text[max(0, place - 2) : place]))
        before = _LETTERS.search(text, max(0, place - 8), place) if lettered else None
        starts = {before.start(), before.start("last")} if before else set()
        for start in (place, *starts):
            if _BEGINS.match(text, start) and _ANY.match(text, start):
                yield from _number(text, start)


def _number(text: str, start: int) -> Iterator[tuple[int, int]]:
    for name, form, words in _FORMS:
        match = form.match(text, start)
        if match and (words is None or near(text, *match.span(), words)) and _holds(name, match[0]):
            yield match.span()


def _holds(name: str, number: str) -> bool:
    own: dict[str, Callable[[str], bool]] = {"": lambda _: True, "us": _ssn, "gb": _nino}
    if name in own:
        return own[name](compact(number))
    return bool(import_module(f"stdnum.{name}").is_valid(number if name in _SIGNED else compact(number)))


def _ssn(number: str) -> bool:
    """Numbers that the US Social Security Administration does not give out."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def _nino(number: str) -> bool:
    return number[:2].upper() not in _NO_NINO
