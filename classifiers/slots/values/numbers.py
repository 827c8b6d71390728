"""Which number a text says in English, and whether that is in doubt: `4`, `.5`, `a party of six`, `a dozen`.

What number words and figures say: `4`, `1,200.50`, `twenty-five`, `half a million`, `two and a half`. Pure.

A value as it is read from a slot's words.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

_UP_TO_19 = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
_SMALL = {
    **{word: number for number, word in enumerate(_UP_TO_19)},
    **{word: number for number, word in enumerate(ORDINALS)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "fourty": 40,
    "couple": 2,
    "pair": 2,
}
_SCALES = {
    "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "lakh": 10**5, "crore": 10**7,
}  # fmt: skip
GREAT = {name: scale for word, scale in _SCALES.items() for name in (word, f"{word}s")}
"""Words that multiply what stands before them."""
_LETTERS = {"k": 10**3, "bn": 10**9, "tn": 10**12}
_TOKEN = re.compile(r"\d[\d.,]*(?:(?:st|nd|rd|th|k|m|b|bn|t|tn)(?![a-z]))?|[a-z]+|[^\sa-z\d]")
_FIGURES = re.compile(r"([\d.,]*\d)[.,]?(st|nd|rd|th|k|bn|tn)?")  # 5m may be metres or minutes, 5t tonnes
_GROUPED = re.compile(
    # 1,200.50 | 1.200.000 | 1.200,50
    r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)"
)
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f'\u2019]\d{3})+(?!\d)")  # 10 000 | 10'000
_DASH = re.compile(r"(?<=\w)[\u2010\u2011\u2012\u2014\u2015\u2212](?=\w)")
_EACH = re.compile(r"\s?/\s?(?:mo(?:nth)?|w(?:ee)?k|y(?:ea)?r|day|night|h(?:ou)?r?|person|head|item)\b")  # 20/month
_JOINED = re.compile(
    # one-hundred | half-a-dozen | one-hundred-and-five
    rf"(?<=\w)-(?=(?:{'|'.join(GREAT)}|and)\b)|(?<=\bhalf)-(?=a-)|(?<=\w-and)-(?=\w)"
)
LEADING = re.compile(r"(?<![\w.])\.(?=\d)")  # .5, but not No.5 or ...5
_SIGNS = {"\u00bc": " and a quarter ", "\u00bd": " and a half ", "\u00be": " and three quarters "}
_LEADING_COMMA = re.compile(r"(?<!\w),(?=\d)")  # ,99 may be a part or a slip
_BROKEN = re.compile("[\u2044\u2150-\u215e]")  # thirds, fifths and the like in one character
_SIGNED = re.compile(r"(?<![^\s(])[-\u2013\u2212](?=\.?\d)")  # -5, but not 4-5
SHARES: dict[tuple[str, ...], Decimal] = {
    ("and", "a", "half"): Decimal("0.5"),
    ("and", "a", "quarter"): Decimal("0.25"),
    ("and", "three", "quarters"): Decimal("0.75"),
}


def tokens_of(text: str) -> list[str]:
    """Words, figures and marks in small letters; what is written as a fraction has a `/` in it."""
    text = _EACH.sub(" ", LEADING.sub("0.", text.casefold()))
    text = _JOINED.sub(" ", _BROKEN.sub("/", _LEADING_COMMA.sub("/", _DASH.sub("-", text))))
    text = _SIGNED.sub("\u2212", text)
    for sign, words in _SIGNS.items():
        text = text.replace(sign, words)
    return _TOKEN.findall(_SPACED.sub(lambda match: re.sub(r"\D", "", match[0]), text))


@dataclass(slots=True)
class _Sum:
    """A number as its words come in. total: of the thousands and more; part: what is below them, None before any."""

    total: Decimal = Decimal(0)
    part: Decimal | None = None

    def takes(self, word: str) -> bool:
        """Whether the word goes on with the number; if so it has."""
        if word in GREAT and self.part is not None:
            self._multiply(GREAT[word])
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


def at(tokens: list[str]) -> tuple[Decimal, int] | None:
    """The number that begins at the first token, and how many of the tokens it takes."""
    said, index = _Sum(), 1
    first = tokens[0]
    if first[0].isdigit():
        said.part = figure(first)
        if said.part is None:
            return None
    elif first in {"a", "an"} and len(tokens) > 1 and tokens[1] in GREAT:
        said.part = Decimal(1)
    elif first == "half":
        return _half(tokens)
    elif not said.takes(first):
        return None
    while index < len(tokens):
        if tokens[index - 1 : index + 1] == ["couple", "of"] and GREAT.keys() & tokens[index + 1 : index + 2]:
            index += 1  # a couple of hundred
        word = tokens[index]
        if tokens[index - 1][0].isdigit() and word not in GREAT:
            break  # 20 one-dollar bills
        bridged = word in {"and", "-"} and index + 1 < len(tokens) and said.would_take(tokens[index + 1])
        if not bridged and not said.takes(word):
            break
        index += 1
    return _and_a_share(said.total + (said.part or Decimal(0)), tokens, index)


def _and_a_share(value: Decimal, tokens: list[str], index: int) -> tuple[Decimal, int]:
    """What was said up to index, with `and a half`, and a `million` behind that, where they follow."""
    share = SHARES.get(tuple(tokens[index : index + 3]))
    if share is None:
        return value, index
    factor = GREAT.get(tokens[index + 3], 1) if index + 3 < len(tokens) else 1
    return (value + share) * factor, index + 3 + (factor > 1)


def _half(tokens: list[str]) -> tuple[Decimal, int]:
    """`half`, of what follows where that is a dozen, a million: the first of the tokens is `half`."""
    more = 2 if tokens[1:2] in (["a"], ["an"]) else 1
    factor = GREAT.get(tokens[more]) if more < len(tokens) else None
    return (Decimal("0.5"), 1) if factor is None else (Decimal(factor) / 2, more + 1)


def figures(text: str) -> Decimal | None:
    """Digits with their marks: `1,200.50`, `1.234.567`, `12,5`; None where they are no number."""
    if _GROUPED.fullmatch(text):
        point = "," if re.sub(r"\d", "", text)[0] == "." else "."
        whole, _, part = text.rpartition(point) if point in text else (text, "", "")
        return Decimal(re.sub("[.,]", "", whole) + (f".{part}" if part else ""))
    if re.fullmatch(r"\d+[.,]\d+", text):
        return Decimal(text.replace(",", "."))
    return Decimal(text) if text.isdecimal() else None


def figure(token: str) -> Decimal | None:
    """The number that a token of digits is: `3rd`, `1.5k`; None of one that can't be read, such as `5m`."""
    match = _FIGURES.fullmatch(token)
    value = figures(match[1]) if match else None
    return None if match is None or value is None else value * _LETTERS.get(match[2] or "", 1)


_PARTED = re.compile(r"(?<![\d.,])(?!0)\d{1,3}\.\d{3}(?![.,]?\d)")
_MINUS = re.compile(r"^\s*(?:minus |negative |[-\u2212](?=\S))")
_NEGATIVE = {"minus", "negative", "\u2212"}
_FRACTIONS = frozenset(("half", "quarter", *ORDINALS[3:]))
_FRACTIONS_OF_SEVERAL = frozenset(("halves", "quarters", *(f"{word}s" for word in ORDINALS[3:])))
_OR = {"or", "to", "till", "until", "not", "-", "\u2013", "\u2212"}
_RECKONED = {"plus", "+", "minus", "times", "x", "\u00d7", "*", "^", "_", ":", ",", "e", "o", "oh"}
"""What makes another number of one that has a number behind it: `1e6`, `1_000`, `12:30`, `two oh five`."""
_UNREAD_SCALES = {
    "k",
    "bn",
    "tn",
    "mil",
    "mill",
    "mio",
    "mln",
    "mn",
    "mrd",
    "mld",
    "bln",
    "tsd",
    "thou",
    "grand",
    "score",
    *"\u767e\u5343\u4e07\u842c\u4ebf\u5104\ubc31\ucc9c\ub9cc\uc5b5",
}
_MULTIPLIED = {"twice", "thrice", "double", "triple"}
_ARTICLES = {"the", "a", "an", "all", "my", "our", "your", "their", "his", "her", "its", "these", "those"}
_NONE_OF = _FRACTIONS | _FRACTIONS_OF_SEVERAL | {"none", "neither"}
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
_TOO_MUCH = Decimal(10) ** 18
_LONGEST = 40
"""Tokens; no number is said in more."""


def read(text: str) -> Decimal | None:
    """The first number that a text says; None where it says none, or what it says is in doubt (`4/5`, `two thirds`,
    `1.2.3`, `4 or 5`, `5m`, `three point two`, `twenty twenty six`, `5 mil`, `1e6`, `a million and a half`), or too
    long for anything that people count."""
    tokens = tokens_of(text)
    if "/" in tokens:
        return None
    first = _first(tokens)
    if first is None:
        return None
    value, start, end = first
    if _goes_on(tokens, start, end) or _is_broken(tokens, start, end) or value >= _TOO_MUCH:
        return None
    if _has_more_before(tokens, start) or _has_more_behind(tokens, start, end):
        return None
    negative = _MINUS.match(text.casefold()) or (start > 0 and tokens[start - 1] in _NEGATIVE)
    return -value if negative else value


def exact(text: str) -> Decimal | None:
    """The number that a text says, where it says nothing else."""
    tokens = tokens_of(text)
    found = at(tokens) if tokens else None
    return found[0] if found and found[1] == len(tokens) and not _is_of_a_scale(tokens, 0, found[1]) else None


def is_one_of_two(text: str) -> bool:
    """Whether the first number is the lower end of a range, one of two, or reckoned with another."""
    tokens = tokens_of(text)
    first = _first(tokens)
    return first is not None and _goes_on(tokens, first[1], first[2])


def runs_into_another(text: str) -> bool:
    """Whether the first number has another right behind it: `two fifty`."""
    tokens = tokens_of(text)
    first = _first(tokens)
    return first is not None and _begins(tokens[first[2] :])


def behind(text: str) -> list[str]:
    """The words and marks behind the first number; empty where there is none."""
    tokens = tokens_of(text)
    first = _first(tokens)
    return [] if first is None else tokens[first[2] :]


def holds_one(text: str) -> bool:
    """Whether a number stands anywhere in it, in doubt or not."""
    tokens = tokens_of(text)
    return _first(tokens) is not None or any(token[0].isdigit() for token in tokens)


def may_be_thousands(text: str, found: Decimal) -> bool:
    """Whether the point in a number's words may part the thousands: `3.500`, but not `0.125k` or `3.459 million`."""
    return abs(found) < 1000 and found.as_tuple().exponent == -3 and _PARTED.search(text) is not None


def has_leading_point(text: str) -> bool:
    """Whether a figure in it begins with its point: `.5`."""
    return LEADING.search(text) is not None


def _first(tokens: list[str]) -> tuple[Decimal, int, int] | None:
    """The first number, and the tokens from start to end that say it; None where there is none that can be read."""
    for index, token in enumerate(tokens):
        if token[0].isdigit() and figure(token) is None:
            return None
        found = at(tokens[index : index + _LONGEST])
        if found is not None:
            return found[0], index, index + found[1]
    return None


def _begins(tokens: list[str]) -> bool:
    """Whether a number begins at the first of them."""
    return bool(tokens) and at(tokens) is not None


def _goes_on(tokens: list[str], start: int, end: int) -> bool:
    """Whether what ends there is the lower end of a range, one of two, or reckoned with what follows."""
    if not _begins(tokens[end + 1 :]):
        return False
    return tokens[end] in _OR | _RECKONED or (tokens[end] == "and" and start > 0 and tokens[start - 1] == "between")


def _has_more_before(tokens: list[str], start: int) -> bool:
    """Whether what stands right before makes another number of it, or none: `hundred twenty`, `twice 20`, `no one`."""
    before = tokens[start - 1] if start else ""
    is_no_one = tokens[start] == "one" and (before == "no" or tokens[max(start - 2, 0) : start] == ["no", "-"])
    return before in GREAT or before in _MULTIPLIED or before == "not" or is_no_one


def _has_more_behind(tokens: list[str], start: int, end: int) -> bool:
    """Whether another number belongs to it: `twenty twenty six`, `10% of 50`, `ten to the sixth`, `two-oh-five`."""
    rest = tokens[end : end + _LONGEST]
    if not rest:
        return False
    share = 1 if rest[0] in {"%", "percent"} else 2 if rest[:2] == ["per", "cent"] else 0
    if share and rest[share : share + 1] in (["of"], ["off"]):
        return _has_a_whole(rest, share)
    if rest[:2] == ["to", "the"] and _begins(rest[2:]):
        return True
    if rest[0] == "-" and rest[1:2] in (["oh"], ["o"]):
        return True
    if rest[0] in {"and", "of"}:
        return _begins(rest[1:])
    return not _is_ordinal(rest[0]) and _is_counted(rest, after_ordinal=_is_ordinal(tokens[start]))


def _is_counted(rest: list[str], *, after_ordinal: bool) -> bool:
    """Whether what is behind a number begins with a number that is no name (.38s, a 2-bedroom flat, the second one)."""
    found = at(rest)
    if found is None or (after_ordinal and rest[0] == "one"):
        return False
    return rest[found[1] : found[1] + 1] not in (["s"], ["-"])


def _is_ordinal(token: str) -> bool:
    return token in ORDINALS or _ORDINAL.fullmatch(token) is not None


def _is_broken(tokens: list[str], start: int, end: int) -> bool:
    """Whether what goes from start to end counts fractions, is one or has one behind it (two thirds, 2 and a third), is
    a part or has a part taken of it (half of the 12), or goes on in a way that is not read (three point two, 100 k)."""
    if start > 0 and tokens[start - 1] in {"a", "an"} and tokens[start] in ORDINALS[3:]:
        return True
    scale = tokens[end] if end < len(tokens) else ""
    if scale in _UNREAD_SCALES or scale.endswith(("illion", "illions")) or _has_a_point(tokens, start, end):
        return True
    if _is_of_a_share(tokens, start) or (tokens[start] == "half" and _has_a_whole(tokens, end)):
        return True
    if _is_of_a_scale(tokens, start, end):
        return True
    dashed = tokens[end : end + 1] == ["-"]
    named = end + 2 if tokens[end : end + 1] == ["and"] else end + dashed
    if named >= len(tokens):
        return False
    one = dashed or tokens[named - 1] in {"a", "an", "one", "1"}
    return tokens[named] in _FRACTIONS_OF_SEVERAL or (one and tokens[named] in _FRACTIONS)


def _is_of_a_scale(tokens: list[str], start: int, end: int) -> bool:
    """Whether it ends in a share of what may be one or a million: `a million and a half`."""
    return end - 4 >= start and tuple(tokens[end - 3 : end]) in SHARES and tokens[end - 4] in GREAT


def _has_a_point(tokens: list[str], start: int, end: int) -> bool:
    """Whether `point` stands right before, or behind with a number behind it."""
    if start > 0 and tokens[start - 1] == "point":
        return True
    return tokens[end : end + 1] == ["point"] and _begins(tokens[end + 1 :])


def _is_of_a_share(tokens: list[str], start: int) -> bool:
    """Whether `a quarter of` stands before, or `none of`."""
    while start > 0 and tokens[start - 1] in _ARTICLES:
        start -= 1
    return start > 1 and tokens[start - 1] == "of" and tokens[start - 2] in _NONE_OF


def _has_a_whole(tokens: list[str], end: int) -> bool:
    """Whether `of` or `off` and another number stand behind."""
    if tokens[end : end + 1] not in (["of"], ["off"]):
        return False
    end += 1
    while end < len(tokens) and tokens[end] in _ARTICLES and not _begins(tokens[end:]):
        end += 1
    return _begins(tokens[end:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """value: as a verdict's slot gives it; currency: of money, ISO 4217."""

    value: str | int | float
    currency: str | None = None
