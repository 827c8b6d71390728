"""Payment card numbers: a known issuer's prefix, a length that the issuer gives out, and Luhn's check digit."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from classifiers.patterns.digits import AFTER, BEFORE, compact, near

_RUN = re.compile(r"\d++(?:(?:[ \t\r\n.\-_]{1,2}| ?[-/] ?)\d++)*+")
"""Groups of digits, and what may be between two of one number."""
_GROUP = re.compile(r"\d+")
_WIDE = re.compile(r"...|.*/")
_BREAK = re.compile(r"[\t\r\n]")
_START = re.compile("[2-6]" + BEFORE.format("[2-6]"))
_GLUED = re.compile(r"(?i)(?:card|karte|carte|tarjeta|cart[aã]o|visa|master|maestro|kaart|amex|discover|diners|cc)$")
_GLUED_CHARS = 8
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
_LEAST, _MOST = 12, 19
_SHORT = 2
"""Digits; groups of so few are as often the cells of a table."""
_NEAR = 60
"""Characters, of a word to the numbers behind it and of these to the number."""

_Span = tuple[int, int]


def find(text: str) -> Iterator[_Span]:
    """(start, end) of each card number."""
    done = 0
    for start, end in candidates(text):
        number = compact(text[start:end])
        if start >= done and luhn(number) and _issued(number, text, start, end):
            yield start, end
            done = end


def candidates(text: str) -> Iterator[_Span]:
    """(start, end) of each run of digits that is written as a card number may be, the longest first of those that
    begin at one place. Few of them, however many numbers there are: a table's rows and columns make next to none, but
    right behind a word for a card."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _LEAST:
            continue
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        said = _WORDS.search(text, max(0, run.start() - _NEAR), run.start())
        for place, (start, _) in enumerate(groups):
            named = said is not None and start - run.start() < _NEAR
            if text[start] in "23456" and (named or _opens(text, groups, place)) and _begins(text, start):
                ends = [end for end in _ends(text, groups, place, named=named) if _AFTER.match(text, end)]
                yield from ((start, end) for end in reversed(ends))


def luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return not (sum(map(int, number[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in number[-2::-2])) % 10


def _begins(text: str, start: int) -> bool:
    """Whether no word or decimal ends where a number begins, but for one that says what it is (VISA4111…)."""
    return bool(_START.match(text, start) or _GLUED.search(text, max(0, start - _GLUED_CHARS), start))


def _opens(text: str, groups: Sequence[_Span], place: int) -> bool:
    """Whether a group may be a number's first: of short groups of one width, only the first of its line, or the first
    of several with the same between them, and something else before."""
    start, end = groups[place]
    if not place or end - start > _SHORT or _broken(text, groups, place):
        return True
    before, until = groups[place - 1]
    if until - before != end - start:
        return True
    gaps = [text[one:other] for (_, one), (other, _) in pairwise(groups[place : place + 3])]
    return len(gaps) > 1 and gaps[0] == gaps[1] != text[until:start] and not _BREAK.search(gaps[0])


def _broken(text: str, groups: Sequence[_Span], place: int) -> bool:
    """Whether a tab or a line end stands between a group and the one before it."""
    return 0 < place < len(groups) and bool(_BREAK.search(text, groups[place - 1][1], groups[place][0]))


def _ends(text: str, groups: Sequence[_Span], place: int, *, named: bool) -> Iterator[int]:
    """Where a number may end which begins with a group, of 12 to 19 digits, by length.

    Its groups are single digits, or all of several. Slashes, dashes between spaces and line ends
    part groups of three or more, the former in one way. A number in several lines or cells stands alone (no other
    touches it there), behind a word for a card, or has one line end among other gaps.
    """
    own = groups[place : place + _MOST]
    (start, end), digits, breaks = own[0], own[0][1] - own[0][0], 0
    if _LEAST <= digits <= _MOST:
        yield end
    if len(own) == 1:
        return
    shortest, single, first = digits, own[1][1] - own[1][0] == 1, text[end : own[1][0]]
    if single != (digits == 1):
        return
    for index, ((_, until), (start, end)) in enumerate(pairwise(own), place + 1):
        gap = text[until:start]
        digits, shortest = digits + end - start, min(shortest, end - start)
        wide = _WIDE.match(gap) or _WIDE.match(first)
        if digits > _MOST or (end - start == 1) != single or (wide and (gap != first or shortest <= _SHORT)):
            return
        breaks += _broken(text, groups, index)
        wrapped = breaks == 1 and index > place + 1 and shortest > _SHORT
        alone = not (_broken(text, groups, place) or _broken(text, groups, index + 1))
        if digits >= _LEAST and (not breaks or named or wrapped or alone):
            yield end


def _issued(number: str, text: str, start: int, end: int) -> bool:
    if any(prefix.match(number) and len(number) in lengths for prefix, lengths in _ISSUERS):
        return len(set(number)) > 1
    # shorter and older lengths are also those of articles and of accounts
    return number[0] in "456" and near(text, start, end, _WORDS)
