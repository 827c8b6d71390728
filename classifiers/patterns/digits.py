"""Numbers written with separators: what stands before them, what is between their digits, the words around them."""

import re
from collections.abc import Iterator

GAP = r"[ \t\r\n.\-_]{0,2}"
SOME_GAP = r"[ \t\r\n.\-_]{1,2}"
"""Between two digits of one number: perhaps something, or surely."""
BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))(?<!\d\.{0})(?<![^\w\r\n\[(,]0,{0})"
"""To stand after a number's first character, whose class is {0}: it begins there, and is not the end of a word or
of a decimal. In JSON that was not decoded, a line end is the two characters \\n. A comma may part the fields of a line
or a list; behind 0 it does so where 0 is a field as well."""
AFTER = r"(?![A-Za-z0-9])"

_NOT_DIGITS = str.maketrans("", "", " \t\r\n.-_/()")
_END = re.compile(r"(?<=[A-Za-z0-9])" + AFTER)


def compact(text: str) -> str:
    """The number without its separators."""
    return text.translate(_NOT_DIGITS)


def prefixes(text: str, least: int, most: int) -> Iterator[tuple[int, str]]:
    """(end, compact number) for each way to end a run of groups after a whole group, the longest first."""
    ends = [match.start() for match in _END.finditer(text)]
    for end in reversed(ends):
        number = compact(text[:end])
        if len(number) < least:
            return
        if len(number) <= most:
            yield end, number


def near(text: str, start: int, end: int, words: re.Pattern[str], *, before: int = 60, after: int = 30) -> bool:
    """Whether one of some words stands close to start..end."""
    around = text[max(0, start - before) : start] + "\n" + text[end : end + after]
    return words.search(around) is not None
