"""What number words and figures say: `4`, `1,200.50`, `twenty-five`, `half a million`, `two and a half`. Pure."""

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
