"""Numbers in English words and figures: `4`, `.5`, `1,200`, `2.5 million`, `twenty-five`, `a hundred and two`,
`a dozen`."""

import re
from dataclasses import dataclass
from decimal import Decimal

_UP_TO_19 = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
_SMALL = {
    **{word: number for number, word in enumerate(_UP_TO_19)},
    **{word: number for number, word in enumerate(_ORDINALS)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "fourty": 40,
    "couple": 2,
    "pair": 2,
}
_GREAT = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_LETTERS = {"k": 1_000, "bn": 1_000_000_000}
_TOKEN = re.compile(r"\d[\d.,]*(?:(?:st|nd|rd|th|k|m|bn)(?![a-z]))?|[a-z]+|[^\sa-z\d]")
_FIGURES = re.compile(r"([\d.,]*\d)[.,]?(st|nd|rd|th|k|bn)?")  # 5m may be metres or minutes
_PARTED = re.compile(r"(?<![\d.,])(?!0)\d{1,3}\.\d{3}(?![.,]?\d)")
_GROUPED = re.compile(
    # 1,200.50 | 1.200.000 | 1.200,50
    r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)"
)
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f'\u2019]\d{3})+(?!\d)")  # 10 000 | 10'000
_DASH = re.compile(r"(?<=\w)[\u2010\u2011\u2012\u2014\u2015\u2212](?=\w)")
_LEADING = re.compile(r"(?<![\w.])\.(?=\d)")  # .5, but not No.5 or ...5
_SIGNS = {"\u00bc": " and a quarter ", "\u00bd": " and a half ", "\u00be": " and three quarters "}
_BROKEN = re.compile("[\u2044\u2150-\u215e]")  # thirds, fifths and the like in one character
_MINUS = re.compile(r"^\s*(?:minus |negative |[-\u2212](?=\S))")
_SIGNED = re.compile(r"(?<![^\s(])[-\u2212](?=\.?\d)")  # -5, but not 4-5
_NEGATIVE = {"minus", "negative", "\u2212"}
_SHARES: dict[tuple[str, ...], Decimal] = {
    ("and", "a", "half"): Decimal("0.5"),
    ("and", "a", "quarter"): Decimal("0.25"),
    ("and", "three", "quarters"): Decimal("0.75"),
}
_FRACTIONS = frozenset(("half", "quarter", *_ORDINALS[3:]))
_FRACTIONS_OF_SEVERAL = frozenset(("halves", "quarters", *(f"{word}s" for word in _ORDINALS[3:])))
_OR = {"or", "to", "till", "until", "not", "-", "\u2013", "\u2212"}
_ARTICLES = {"the", "a", "an", "all", "my", "our", "your", "their", "his", "her", "its", "these", "those"}
_TOO_MUCH = Decimal(10) ** 18
_LONGEST = 40
"""Tokens; no number is said in more."""


def read(text: str) -> Decimal | None:
    """The first number that a text says; None where it says none, or what it says is in doubt (`4/5`, `two thirds`,
    `1.2.3`, `4 or 5`, `5m`, `three point two`), or too long for anything that people count."""
    tokens = _tokens(text)
    if "/" in tokens:
        return None
    first = _first(tokens)
    if first is None:
        return None
    value, start, end = first
    if _goes_on(tokens, start, end) or _is_broken(tokens, start, end) or value >= _TOO_MUCH:
        return None
    negative = _MINUS.match(text.casefold()) or (start > 0 and tokens[start - 1] in _NEGATIVE)
    return -value if negative else value


def exact(text: str) -> Decimal | None:
    """The number that a text says, where it says nothing else."""
    tokens = _tokens(text)
    found = _at(tokens) if tokens else None
    return found[0] if found and found[1] == len(tokens) else None


def is_one_of_two(text: str) -> bool:
    """Whether the first number is the lower end of a range, or one of two."""
    tokens = _tokens(text)
    first = _first(tokens)
    return first is not None and _goes_on(tokens, first[1], first[2])


def runs_into_another(text: str) -> bool:
    """Whether the first number has another right behind it: `two fifty`."""
    tokens = _tokens(text)
    first = _first(tokens)
    return first is not None and first[2] < len(tokens) and _at(tokens[first[2] :]) is not None


def _first(tokens: list[str]) -> tuple[Decimal, int, int] | None:
    """The first number, and the tokens from start to end that say it; None where there is none that can be read."""
    for index, token in enumerate(tokens):
        if token[0].isdigit() and _figure(token) is None:
            return None
        found = _at(tokens[index : index + _LONGEST])
        if found is not None:
            return found[0], index, index + found[1]
    return None


def _tokens(text: str) -> list[str]:
    text = _BROKEN.sub("/", _DASH.sub("-", _LEADING.sub("0.", text.casefold())))
    text = _SIGNED.sub("\u2212", text)
    for sign, words in _SIGNS.items():
        text = text.replace(sign, words)
    return _TOKEN.findall(_SPACED.sub(lambda match: re.sub(r"\D", "", match[0]), text))


def _goes_on(tokens: list[str], start: int, end: int) -> bool:
    """Whether what ends there is the lower end of a range, or one of two."""
    if end + 1 >= len(tokens) or _at(tokens[end + 1 :]) is None:
        return False
    return tokens[end] in _OR or (tokens[end] == "and" and start > 0 and tokens[start - 1] == "between")


def _is_broken(tokens: list[str], start: int, end: int) -> bool:
    """Whether what goes from start to end counts fractions, is one or has one behind it (two thirds, 2 and a third), is
    a part or has a part taken of it (half of the 12), or goes on in a way that is not read (three point two, 100 k)."""
    if start > 0 and tokens[start - 1] in {"a", "an"} and tokens[start] in _ORDINALS[3:]:
        return True
    if tokens[end : end + 1] in (["k"], ["bn"]) or _has_a_point(tokens, start, end):
        return True
    if _is_of_a_share(tokens, start) or (tokens[start] == "half" and _has_a_whole(tokens, end)):
        return True
    dashed = tokens[end : end + 1] == ["-"]
    named = end + 2 if tokens[end : end + 1] == ["and"] else end + dashed
    if named >= len(tokens):
        return False
    one = dashed or tokens[named - 1] in {"a", "an", "one", "1"}
    return tokens[named] in _FRACTIONS_OF_SEVERAL or (one and tokens[named] in _FRACTIONS)


def _has_a_point(tokens: list[str], start: int, end: int) -> bool:
    """Whether `point` stands right before, or behind with a number behind it."""
    if start > 0 and tokens[start - 1] == "point":
        return True
    return tokens[end : end + 1] == ["point"] and end + 1 < len(tokens) and _at(tokens[end + 1 :]) is not None


def _is_of_a_share(tokens: list[str], start: int) -> bool:
    """Whether `a quarter of` stands before."""
    while start > 0 and tokens[start - 1] in _ARTICLES:
        start -= 1
    return start > 1 and tokens[start - 1] == "of" and tokens[start - 2] in _FRACTIONS | _FRACTIONS_OF_SEVERAL


def _has_a_whole(tokens: list[str], end: int) -> bool:
    """Whether `of` and another number stand behind."""
    if tokens[end : end + 1] != ["of"]:
        return False
    end += 1
    while end < len(tokens) and tokens[end] in _ARTICLES and _at(tokens[end:]) is None:
        end += 1
    return end < len(tokens) and _at(tokens[end:]) is not None


def figures(text: str) -> Decimal | None:
    """Digits with their marks: `1,200.50`, `1.234.567`, `12,5`; None where they are no number."""
    if _GROUPED.fullmatch(text):
        point = "," if re.search(r"\.\d{3}(?:[.,]|$)", text) else "."
        whole, _, part = text.rpartition(point) if point in text else (text, "", "")
        return Decimal(re.sub("[.,]", "", whole) + (f".{part}" if part else ""))
    if re.fullmatch(r"\d+[.,]\d+", text):
        return Decimal(text.replace(",", "."))
    return Decimal(text) if text.isdecimal() else None


def may_be_thousands(text: str, found: Decimal) -> bool:
    """Whether the point in a number's words may part the thousands: `3.500`, but not `0.125k` or `3.459 million`."""
    return abs(found) < 1000 and found.as_tuple().exponent == -3 and _PARTED.search(text) is not None


def has_leading_point(text: str) -> bool:
    """Whether a figure in it begins with its point: `.5`."""
    return _LEADING.search(text) is not None


@dataclass(slots=True)
class _Sum:
    """A number as its words come in. total: of the thousands and more; part: what is below them, None before any."""

    total: Decimal = Decimal(0)
    part: Decimal | None = None

    def takes(self, word: str) -> bool:
        """Whether the word goes on with the number; if so it has."""
        if word in _GREAT and self.part is not None:
            self._multiply(_GREAT[word])
            return True
        if word in _SMALL and self._has_room(_SMALL[word]):
            self.part = (self.part or Decimal(0)) + _SMALL[word]
            return True
        return False

    def would_take(self, word: str) -> bool:
        """After `and` or a dash: only something smaller than what is there."""
        return word in _SMALL and self.total + (self.part or 0) != 0 and self._has_room(_SMALL[word])

    def _multiply(self, factor: int) -> None:
        assert self.part is not None
        if not self.part and self.total:
            self.total *= factor  # a thousand million
        elif factor < 1_000:
            self.part *= factor
        else:
            self.total, self.part = self.total + self.part * factor, Decimal(0)

    def _has_room(self, small: int) -> bool:
        if not self.part:
            return True
        after_tens = self.part % 100 >= 20 and self.part % 10 == 0 and 0 < small < 10
        return after_tens or self.part % 100 == 0


def _at(tokens: list[str]) -> tuple[Decimal, int] | None:
    """The number that begins at the first token, and how many of the tokens it takes."""
    said, index = _Sum(), 1
    first = tokens[0]
    if first[0].isdigit():
        said.part = _figure(first)
        if said.part is None:
            return None
    elif first in {"a", "an"} and len(tokens) > 1 and tokens[1] in _GREAT:
        said.part = Decimal(1)
    elif first == "half":
        return _half(tokens)
    elif not said.takes(first):
        return None
    while index < len(tokens):
        if tokens[index - 1 : index + 1] == ["couple", "of"] and _GREAT.keys() & tokens[index + 1 : index + 2]:
            index += 1  # a couple of hundred
        word = tokens[index]
        bridged = word in {"and", "-"} and index + 1 < len(tokens) and said.would_take(tokens[index + 1])
        if not bridged and not said.takes(word):
            break
        index += 1
    return _and_a_share(said.total + (said.part or Decimal(0)), tokens, index)


def _and_a_share(value: Decimal, tokens: list[str], index: int) -> tuple[Decimal, int]:
    """What was said up to index, with `and a half`, and a `million` behind that, where they follow."""
    share = _SHARES.get(tuple(tokens[index : index + 3]))
    if share is None:
        return value, index
    factor = _GREAT.get(tokens[index + 3], 1) if index + 3 < len(tokens) else 1
    return (value + share) * factor, index + 3 + (factor > 1)


def _half(tokens: list[str]) -> tuple[Decimal, int]:
    """`half`, of what follows where that is a dozen, a million: the first of the tokens is `half`."""
    more = 2 if tokens[1:2] in (["a"], ["an"]) else 1
    factor = _GREAT.get(tokens[more]) if more < len(tokens) else None
    return (Decimal("0.5"), 1) if factor is None else (Decimal(factor) / 2, more + 1)


def _figure(token: str) -> Decimal | None:
    match = _FIGURES.fullmatch(token)
    value = figures(match[1]) if match else None
    return None if match is None or value is None else value * _LETTERS.get(match[2] or "", 1)
