"""Numbers in English words and figures: `4`, `1,200.50`, `twenty-five`, `2.5 million`, `two and a half`. Pure.

A text has a number only where it has exactly one and nothing puts it in doubt: `4 or 5`, `two thirds` and `5 mil` have
none.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

TEENS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_CARDINALS = {
    **{word: number for number, word in enumerate(TEENS)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "fourty": 40,
    "couple": 2,
}
_FIRSTS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", *(f"{teen}th" for teen in TEENS[13:]),
)  # fmt: skip
_ORDINALS = {
    **{word: number for number, word in enumerate(_FIRSTS)},
    **{f"{word[:-1]}ieth": 10 * number for number, word in enumerate(_TENS, 2)},
}
_SMALL = _CARDINALS | _ORDINALS
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_RUN = re.compile(r"[\w.,]+|\S")
_WORD = re.compile(r"[^\W_]+|\S")
_DIGIT = re.compile(r"\d")
_FIGURES = re.compile(r"([\d.,]*\d)[.,]?(?P<suffix>[^\W\d_]*)")
_PLAIN = re.compile(r"[\d.,]+(?:st|nd|rd|th|k)?")
_GROUPED = re.compile(
    # 1,200.50 | 1.200.000 | 1.200,50
    r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)"
)
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_MINUS = re.compile(r"(?<![^\s(])[-\u2013\u2212](?=\d)")
_NEGATIVE = frozenset(("minus", "negative", "\u2212"))
_ORDINAL_SUFFIXES = frozenset(("st", "nd", "rd", "th"))
_DOUBTFUL_SUFFIXES = frozenset(("m", "mil", "mio", "mln", "mn", "b", "bn", "bln", "t", "tn", "e", "o", "oh"))
_DOUBT = frozenset((
    "no", "not", "none", "neither", "nor", "without", "or", "between", "half", "halves", "quarter", "quarters", "twice",
    "thrice", "double", "triple", "times", "plus", "point", "oh", "grand", "score", "scores", "lakh", "lakhs", "crore",
    "crores", "k", "m", "mil", "mill", "mio", "mln", "mn", "mrd", "mld", "b", "bn", "bln", "t", "tn", "tsd", "thou",
    "/", "+", "*", "^", "_",
))  # fmt: skip
"""Words and signs that make another number of the one beside them, or none."""
_LIMIT = Decimal(10) ** 18
_PARTED = re.compile(r"(?<![\d.,])(?!0)\d{1,3}\.\d{3}(?![.,]?\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """value: as a verdict's slot gives it; currency: of money, ISO 4217."""

    value: str | int | float
    currency: str | None = None


def read(text: str) -> Decimal | None:
    """The only number in a text; None where there is none, another one, or a word that puts it in doubt."""
    tokens = _tokens(text)
    number: Decimal | None = None
    index = 0
    while index < len(tokens):
        token, before = tokens[index], tokens[index - 1] if index else ""
        parsed = _parse(tokens, index)
        if parsed is None:
            if any(map(str.isnumeric, token)) or _is_doubtful(token):
                return None
            index += 1
        elif number is not None or (before in {"a", "an"} and token in _ORDINALS):  # `a third`
            return None
        else:
            number, index = -parsed[0] if before in _NEGATIVE else parsed[0], parsed[1]
    return number if number is not None and abs(number) < _LIMIT else None


def exact(text: str) -> Decimal | None:
    """The number that a text consists of: `twenty-five`, `a couple of`, `3rd`."""
    tokens = _tokens(text)
    if not tokens or any(_DIGIT.search(token) and not _PLAIN.fullmatch(token) for token in tokens):
        return None
    parsed = _parse(tokens, 0)
    return parsed[0] if parsed and parsed[1] == len(tokens) and parsed[0] < _LIMIT else None


def cardinal(text: str) -> Decimal | None:
    """As `exact`, but None for `third` and `3rd`."""
    last = (_tokens(text) or [""])[-1]
    return None if last in _ORDINALS or (last[0:1].isdigit() and last[-2:] in _ORDINAL_SUFFIXES) else exact(text)


def may_be_thousands(text: str, value: Decimal) -> bool:
    """Whether the point in a number's words may part the thousands: `3.500`, but not `3.459 million`."""
    return abs(value) < 1000 and value.as_tuple().exponent == -3 and _PARTED.search(text) is not None


def _tokens(text: str) -> list[str]:
    runs = _RUN.findall(_MINUS.sub("\u2212", _HYPHEN.sub(" ", text.casefold())))
    return [token for run in runs for token in ([run] if _DIGIT.search(run) else _WORD.findall(run))]


def _parse(tokens: list[str], start: int) -> tuple[Decimal, int] | None:
    first = tokens[start]
    if _DIGIT.search(first):
        value = _figure(first)
        if value is None:
            return None
        end = start + 1
        while end < len(tokens) and tokens[end].removesuffix("s") in _SCALES:
            value *= _SCALES[tokens[end].removesuffix("s")]
            end += 1
    else:
        words = _parse_words(tokens, start)
        if words is None:
            return None
        value, end = words
    if tokens[end : end + 3] == ["and", "a", "half"] and tokens[end - 1].removesuffix("s") not in _SCALES:
        return value + Decimal("0.5"), end + 3
    return value, end


def _parse_words(tokens: list[str], start: int) -> tuple[Decimal, int] | None:
    """`a hundred and two` → total 0 of the thousands and more, part 102 of what is below them."""
    article = tokens[start] in {"a", "an"}
    total, part, index = 0, 0, start + article
    while index < len(tokens):
        word = tokens[index]
        scale = _SCALES.get(word.removesuffix("s"))
        is_first = index == start + article
        if scale is not None and (part or (article and is_first)) and (scale < 1000 or total % (scale * 1000) == 0):
            total, part = (total, (part or 1) * scale) if scale < 1000 else (total + (part or 1) * scale, 0)
        elif scale is not None and total and not part:
            total *= scale  # a thousand million
        elif word in _SMALL and ((word == "couple" or not article) if is_first else _fits(total, part, word)):
            part += _SMALL[word]
        elif is_first or word != "and" or not _fits(total, part, "".join(tokens[index + 1 : index + 2])):
            break
        index += 1
    if index == start + article:
        return None
    if tokens[index - 1 : index + 1] == ["couple", "of"]:
        index += 1
    return Decimal(total + part), index


def _fits(total: int, part: int, word: str) -> bool:
    """Whether a word's number is smaller than the number before it: 5 of `twenty five`."""
    small = _SMALL.get(word, 0)
    after_tens = part % 100 >= 20 and part % 10 == 0 and small < 10
    return small > 0 and (after_tens or (part % 100 == 0 and total + part > 0))


def _figure(token: str) -> Decimal | None:
    """The number that a token with digits is: `3rd`, `1.5k`, `25kg`; None for `5m` (metres or millions) and `1.2.3`."""
    match = _FIGURES.fullmatch(token)
    if match is None or not match["suffix"].isascii() or match["suffix"] in _DOUBTFUL_SUFFIXES:
        return None
    figures, scale = match[1], 1000 if match["suffix"] == "k" else 1
    if _GROUPED.fullmatch(figures):
        point = "," if re.sub(r"\d", "", figures)[0] == "." else "."
        whole, _, part = figures.rpartition(point) if point in figures else (figures, "", "")
        return Decimal(re.sub("[.,]", "", whole) + (f".{part}" if part else "")) * scale
    decimal = figures.replace(",", ".")
    return Decimal(decimal) * scale if re.fullmatch(r"\d+(?:\.\d+)?", decimal) else None


def _is_doubtful(token: str) -> bool:
    scale = token.removesuffix("s")
    is_fraction = scale in _ORDINALS and scale != "second"
    return token in _DOUBT or scale in _SCALES or scale.endswith("illion") or is_fraction
