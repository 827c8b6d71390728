"""Numbers that have check digits: payment cards, IBANs, and those that a state gives to a person.

Cards need an issuer's prefix, a length that it gives out, and Luhn's check digit; IBANs the country's length, and check
digits modulo 97. Numbers of persons are checked by python-stdnum, whose modules are imported when a text first has
their form; a form that other numbers have as well counts only close to a word for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise

from classifiers import data

BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))(?<!\d\.{0})(?<![^\w\r\n\[(,]0,{0})"
"""To stand after a number's first character, whose class is {0}: it begins there, and is not the end of a word or
of a decimal. In JSON that was not decoded, a line end is the two characters \\n. A comma may part the fields of a line
or a list; behind 0 it does so where 0 is a field as well."""
AFTER = r"(?![A-Za-z0-9])"
_AFTER = re.compile(AFTER)

_NOT_DIGITS = str.maketrans("", "", " \t\r\n.-_/()")


def compact(text: str) -> str:
    """The number without its separators."""
    return text.translate(_NOT_DIGITS)


def _is_near(text: str, start: int, end: int, words: re.Pattern[str], *, before: int = 60, after: int = 30) -> bool:
    """Whether one of some words stands close to start..end."""
    around = text[max(0, start - before) : start] + "\n" + text[end : end + after]
    return words.search(around) is not None


_RUN = re.compile(r"\d++(?:(?:[ \t\r\n.\-_]{1,2}| ?[-/] ?)\d++)*+")
"""Groups of digits, and what may be between two of one number."""
_GROUP = re.compile(r"\d+")
_WIDE = re.compile(r"...|.*/")
_BREAK = re.compile(r"[\t\r\n]")
_START = re.compile("[2-6]" + BEFORE.format("[2-6]"))
_GLUED = re.compile(r"(?i)(?:card|karte|carte|tarjeta|cart[aã]o|visa|master|maestro|kaart|amex|discover|diners|cc)$")
_GLUED_CHARS = 8
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


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each card number."""
    done = 0
    for start, end in candidates(text):
        number = compact(text[start:end])
        if start >= done and luhn(number) and _issued(number, text, start, end):
            yield start, end
            done = end


def candidates(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of digits that is written as a card number may be, the longest first of those that
    begin at one place. Few of them, however many numbers there are: a table's rows and columns make next to none, but
    right behind a word for a card."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _LEAST:
            continue
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        word = _WORDS.search(text, max(0, run.start() - _NEAR), run.start())
        for place, (start, _) in enumerate(groups):
            named = word is not None and start - run.start() < _NEAR
            if text[start] in "23456" and (named or _opens(text, groups, place)) and _begins(text, start):
                ends = [end for end in _ends(text, groups, place, named=named) if _AFTER.match(text, end)]
                yield from ((start, end) for end in reversed(ends))


def luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return not (sum(map(int, number[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in number[-2::-2])) % 10


def _begins(text: str, start: int) -> bool:
    """Whether no word or decimal ends where a number begins, but for one that says what it is (VISA4111…)."""
    return bool(_START.match(text, start) or _GLUED.search(text, max(0, start - _GLUED_CHARS), start))


def _opens(text: str, groups: Sequence[tuple[int, int]], place: int) -> bool:
    """Whether a group may be a number's first: of short groups of one width, only the first of its line, or the first
    of several with the same between them, and something else before."""
    start, end = groups[place]
    if not place or end - start > _SHORT or _broken(text, groups, place):
        return True
    before, until = groups[place - 1]
    if until - before != end - start:
        return True
    gaps = [text[end:begin] for (_, end), (begin, _) in pairwise(groups[place : place + 3])]
    return len(gaps) > 1 and gaps[0] == gaps[1] != text[until:start] and not _BREAK.search(gaps[0])


def _broken(text: str, groups: Sequence[tuple[int, int]], place: int) -> bool:
    """Whether a tab or a line end stands between a group and the one before it."""
    return 0 < place < len(groups) and bool(_BREAK.search(text, groups[place - 1][1], groups[place][0]))


def _ends(text: str, groups: Sequence[tuple[int, int]], place: int, *, named: bool) -> Iterator[int]:
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
    return number[0] in "456" and _is_near(text, start, end, _WORDS)


_IBAN_DIGITS = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Za-z]{2}[ .\-_/]\d))[ .\-_/]?\d")
"""The check digits, after the country's letters."""
_IBAN_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=[Ii][Bb][Aa][Nn])|(?<=[Kk][Oo][Nn][Tt][Oo]))")
_REST = re.compile(r"(?:(?:[ \t\r\n.\-_/]{0,2}| - )[A-Za-z0-9]){11,32}")
_SIGN = re.compile(r"[A-Za-z0-9]")


@cache
def _iban_lengths() -> Mapping[str, int]:
    """By country."""
    return {entry[:2]: int(entry[2:]) for line in data.lines("iban_lengths.txt") for entry in line.split()}


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each IBAN."""
    for match in _IBAN_DIGITS.finditer(text):
        start = match.start() - (2 if text[match.start() - 1].isalpha() else 3)
        country = text[start : start + 2].upper()
        length = _iban_lengths().get(country)
        rest = _REST.match(text, match.end()) if length and _IBAN_START.match(text, start) else None
        if length is None or rest is None:
            continue
        signs = list(_SIGN.finditer(rest[0]))[: length - 4]
        end = rest.start() + signs[-1].end()
        number = country + compact(match[0]) + "".join(sign[0].upper() for sign in signs)
        if len(signs) == length - 4 and _AFTER.match(text, end) and checks(number):
            yield start, end


def checks(number: str) -> bool:
    """Whether a compact IBAN in capitals has the right check digits (ISO 7064, modulo 97)."""
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


_NATIONAL_DIGITS = re.compile(r"\d(?<!\d\d)(?:(?<=[A-Za-z]\d)|(?=(?:[ ./+-]?[A-Za-z0-9]){5}))")
"""The first of some: behind a letter, or before as many as the shortest form of digits has."""
_LETTERS = re.compile(r"(?:(?P<first>[A-Za-z]{3})[ -])?(?P<last>[A-Za-z]{1,6})[ -]?$")
"""Before the first digit, perhaps in two groups."""
_NATIONAL_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))")
_SIGNED = frozenset({"se.personnummer", "fi.hetu"})
"""Whose sign between the groups says the century. Of others, the library may not know all separators in use."""


@dataclass(frozen=True, slots=True)
class _NationalForm:
    """module: of python-stdnum, empty where none knows the check digits. words: None where none need stand close."""

    module: str
    form: re.Pattern[str]
    words: re.Pattern[str] | None

    def matches(self, text: str, start: int) -> re.Match[str] | None:
        """The number that begins at a place, with its word and right check digits."""
        match = self.form.match(text, start)
        if match is None or (self.words and not _is_near(text, *match.span(), self.words)):
            return None
        return match if not self.module or self._is_valid(match[0]) else None

    def _is_valid(self, number: str) -> bool:
        written = number if self.module in _SIGNED else compact(number)
        return bool(import_module(f"stdnum.{self.module}").is_valid(written))


@cache
def national_forms() -> Sequence[_NationalForm]:
    """From national_ids.txt."""
    rows = (line.split("\t") for line in data.lines("national_ids.txt") if not line.startswith("#"))
    return [
        _NationalForm(module.strip("-"), re.compile(f"(?:{form}){AFTER}"), None if words == "-" else re.compile(words))
        for module, form, words in rows
    ]


@cache
def _any_form() -> re.Pattern[str]:
    return re.compile("|".join(form.form.pattern for form in national_forms()))


def find_national(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number. The same digits may be found twice."""
    for digit in _NATIONAL_DIGITS.finditer(text):
        place = digit.start()
        lettered = any(map(str.isalpha, text[max(0, place - 2) : place]))
        before = _LETTERS.search(text, max(0, place - 8), place) if lettered else None
        for start in {place, *((before.start(), before.start("last")) if before else ())}:
            if _NATIONAL_START.match(text, start) and _any_form().match(text, start):
                matches = (form.matches(text, start) for form in national_forms())
                yield from (match.span() for match in matches if match)
