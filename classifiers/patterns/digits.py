"""Numbers written with separators: what stands before and behind them, and the words around them."""

import re

BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))(?<!\d\.{0})(?<![^\w\r\n\[(,]0,{0})"
"""To stand after a number's first character, whose class is {0}: it begins there, and is not the end of a word or
of a decimal. In JSON that was not decoded, a line end is the two characters \\n. A comma may part the fields of a line
or a list; behind 0 it does so where 0 is a field as well."""
AFTER = r"(?![A-Za-z0-9])"

_NOT_DIGITS = str.maketrans("", "", " \t\r\n.-_/()")


def compact(text: str) -> str:
    """The number without its separators."""
    return text.translate(_NOT_DIGITS)


def near(text: str, start: int, end: int, words: re.Pattern[str], *, before: int = 60, after: int = 30) -> bool:
    """Whether one of some words stands close to start..end."""
    around = text[max(0, start - before) : start] + "\n" + text[end : end + after]
    return words.search(around) is not None
