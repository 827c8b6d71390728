"""Payment card numbers: a known issuer's prefix, a length that the issuer gives out, and Luhn's check digit."""

import re
from collections.abc import Iterator

from classifiers.patterns.digits import AFTER, BEFORE, GAP, SOME_GAP, near, prefixes

_START = re.compile(
    r"[2-6]"
    + BEFORE.format("[2-6]")
    # groups of several digits, or single digits each for itself
    + rf"(?=(?:{GAP}\d){{11}})(?=(\d{{1,18}}(?:{SOME_GAP}\d{{2,16}}){{0,9}}|(?:{SOME_GAP}\d(?!\d)){{11,18}}))"
)
_AFTER = re.compile(AFTER)
_ISSUERS = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"30[0-59]|3[689]", (14, 16, 17, 18, 19)),
        (r"35[2-8]", (16, 17, 18, 19)),
        (r"6011|64[4-9]|65|62|60|220[0-4]", (16, 17, 18, 19)),
        (r"50|5[6-8]|6[37]", (16, 18, 19)),
    )
)
_WORDS = re.compile(r"(?i)card|karte|carte|tarjeta|cart[aã]o|visa|maestro|kaart|kart[ay]|\bpan\b|卡|カード")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each card number."""
    place = 0
    while match := _START.search(text, place):
        start, place = match.start(), match.start() + 1
        for end, number in prefixes(match[0] + match[1], 12, 19):
            stop = start + end
            if luhn(number) and _AFTER.match(text, stop) and _issued(number, text, start, stop):
                yield start, stop
                place = stop
                break


def luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return not (sum(map(int, number[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in number[-2::-2])) % 10


def _issued(number: str, text: str, start: int, end: int) -> bool:
    if any(prefix.match(number) and len(number) in lengths for prefix, lengths in _ISSUERS):
        return len(set(number)) > 1
    # shorter and older lengths are also those of articles and of accounts
    return number[0] in "456" and near(text, start, end, _WORDS)
