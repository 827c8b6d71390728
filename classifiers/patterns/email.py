"""E-mail addresses, also with a percent-encoded or bracketed at sign."""

import re
from collections.abc import Iterator

_AT = re.compile(
    r"[@%\\&\[({<](?:(?<=@)|(?<=%)40|(?<=\\)u0040|(?<=&)(?:#64|commat);"
    r"|(?<=[\[({<])[ \t]{0,2}(?i:at)[ \t]{0,2}[\])}>][ \t]{0,2})"
)
_DOT = r"(?:\.|[ \t]?[\[({<][ \t]{0,2}(?i:dot)[ \t]{0,2}[\])}>][ \t]?)"
_DOMAIN = re.compile(rf"(?:[^\W_][\w-]{{0,62}}{_DOT}){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}|[^\W\d_]{{2,24}})")
_MARKS = frozenset("._%+-&~'")
_LONGEST = 64
_NOBODY = frozenset({"git"})
"""Names before the at sign that are no person's: git@github.com."""


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    done = 0
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None:
            continue
        end = at.start()
        if text[end] in "[({<":
            end = len(text[:end].rstrip(" \t")) if text[max(0, end - 1)] in " \t" else end
        start = _start(text, end, done)
        if start < end and text[start:end] not in _NOBODY:
            done = domain.end()
            yield start, done


def _start(text: str, end: int, least: int) -> int:
    """Where the name that ends at `end` begins; `end` itself where there is none."""
    start = end
    while start > max(least, end - _LONGEST) and (text[start - 1].isalnum() or text[start - 1] in _MARKS):
        start -= 1
    if start and text[start - 1] == "\\" and text[start : start + 1] in ("n", "r", "t"):
        start += 1
    while start < end and text[start] in ".'-&":
        start += 1
    return start
