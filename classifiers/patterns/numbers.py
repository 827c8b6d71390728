"""Numbers that have check digits: payment cards, IBANs, and those that a state gives to a person.

Cards need an issuer's prefix, a length that it gives out, and Luhn's check digit; IBANs the country's length, and check
digits modulo 97. Numbers of persons are checked by python-stdnum, whose modules are imported when a text first has
their form; a form that other numbers have as well counts only close to a word for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from classifiers import data

BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))(?<!\d\.{0})(?<![^\w\r\n\[(,]0,{0})"
"""To stand after a number's first character, whose class is {0}: it begins there, and is not the end of a word or
of a decimal. In JSON that was not decoded, a line end is the two characters \\n. A comma may part the fields of a line
or a list; behind 0 it does so where 0 is a field as well."""
AFTER = r"(?![A-Za-z0-9])"
_AFTER = re.compile(AFTER)

_NOT_DIGITS = str.maketrans("", "", " \t\r\n.-_/()")


def compact(text: str) -> str:
    return text.translate(_NOT_DIGITS)


_GAP = r"[ \t\r\n.\-_]{1,2}| ?[-/] ?"
_FIRST = re.compile("[2-6]" + BEFORE.format("[2-6]"))
_CARD = re.compile(
    r"\d{14,19}(?!\d)"
    rf"|(?P<fours>\d{{4}}(?:(?:{_GAP})?\d{{4}}){{3}})(?:(?:{_GAP})?\d{{3}}(?![A-Za-z0-9]))?"
    rf"|\d{{4}}(?:{_GAP})\d{{6}}(?:{_GAP})\d{{4,5}}"
)
"""In one piece, or in groups as they are printed, 4-4-4-4, with three more behind (19 digits), 4-6-4 and 4-6-5."""
_BREAK = re.compile(r"[\t\r\n]")
_CELL_BEFORE, _CELL_BEHIND = re.compile(r"\d[\t\r\n]{1,2}$"), re.compile(r"[\t\r\n]{1,2}\d")
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
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each card number."""
    done = 0
    for first in _FIRST.finditer(text):
        match = _CARD.match(text, first.start())
        if match is None or match.start() < done or _is_table(match):
            continue
        # three digits behind sixteen may be something else
        for end in (match.end(), match.end("fours")):
            number = compact(text[match.start() : max(end, match.start())])
            if _AFTER.match(text, end) and _issued(number) and luhn(number):
                done = end
                yield match.start(), end
                break


def luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return not (sum(map(int, number[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in number[-2::-2])) % 10


def _issued(number: str) -> bool:
    lengths = [lengths for prefix, lengths in _ISSUERS if prefix.match(number)]
    return any(len(number) in known for known in lengths) and len(set(number)) > 1


def _is_table(match: re.Match[str]) -> bool:
    """Whether tabs or line ends part the groups, and more of them stand next to these."""
    text, (start, end) = match.string, match.span()
    if not _BREAK.search(match[0]):
        return False
    return bool(_CELL_BEFORE.search(text, max(0, start - 3), start) or _CELL_BEHIND.match(text, end))


_IBAN_DIGITS = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Za-z]{2}[ .\-_/]\d))[ .\-_/]?\d")
"""The check digits, after the country's letters."""
_IBAN_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=[Ii][Bb][Aa][Nn])|(?<=[Kk][Oo][Nn][Tt][Oo]))")
_REST = re.compile(r"(?:(?:[ \t\r\n.\-_/]{0,2}| - )[A-Za-z0-9]){11,32}")
_SIGN = re.compile(r"[A-Za-z0-9]")


@cache
def _iban_lengths() -> Mapping[str, int]:
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


class NationalForm(NamedTuple):
    """module: of python-stdnum, empty where none knows the check digits. words: None where none need stand close."""

    module: str
    form: re.Pattern[str]
    words: re.Pattern[str] | None

    def matches(self, text: str, start: int) -> re.Match[str] | None:
        """The number that begins at a place, with its word and right check digits."""
        match = self.form.match(text, start)
        if match is None:
            return None
        if self.words:
            around = text[max(0, start - 60) : start] + "\n" + text[match.end() : match.end() + 30]
            if not self.words.search(around):
                return None
        number = match[0] if self.module in _SIGNED else compact(match[0])
        return match if not self.module or import_module(f"stdnum.{self.module}").is_valid(number) else None


@cache
def national_forms() -> Sequence[NationalForm]:
    rows = (line.split("\t") for line in data.lines("national_ids.txt") if not line.startswith("#"))
    return [
        NationalForm(module.strip("-"), re.compile(f"(?:{form}){AFTER}"), None if words == "-" else re.compile(words))
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
