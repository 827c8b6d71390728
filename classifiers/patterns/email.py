"""E-mail addresses, also with a percent-encoded or bracketed at sign, or bracketed dots."""

import re
import unicodedata
from collections.abc import Iterator

_AT = re.compile(
    r"[@%&\[({<](?:(?<=@)|(?<=%)40|(?<=&)(?:#64|commat);"
    r"|(?<=[\[({<])[ \t]{0,2}(?i:at)[ \t]{0,2}[\])}>][ \t]{0,2})"
)
_DOT = r"(?:\.|[ \t]?[\[({<][ \t]{0,2}(?i:dot|\.)[ \t]{0,2}[\])}>][ \t]?)"
_UNSPACED = (
    # Thai to Burmese, Hangul, Khmer, then kana, Han and Hangul
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts of which words stand beside an address without a space; in a class of characters."""
_BESIDE = re.compile(f"[{_UNSPACED}]")
_LABEL = rf"(?:[^\W_{_UNSPACED}](?:[^\W{_UNSPACED}]|-){{0,62}}|\d{{0,8}}[{_UNSPACED}][\w{_UNSPACED}-]{{0,62}})"
_LAST = rf"(?:xn--[A-Za-z0-9-]{{2,59}}|[^\W\d_{_UNSPACED}]{{2,24}}|[{_UNSPACED}]{{2,24}})"
_DOMAIN = re.compile(rf"(?:{_LABEL}{_DOT}){{1,8}}{_LAST}")
_MARKS = frozenset("._%+-&~'")
_LONGEST = 64
_NOBODY = frozenset({"git"})
"""Names before the at sign that are no person's: git@github.com."""
_PICTURE = re.compile(r"[1-4](?:\.5)?x\.(?:avif|gif|jpe?g|pdf|png|svg|webp)", re.IGNORECASE)
"""How a file that is drawn at twice its size ends: logo@2x.png."""


class _Letters(dict[int, int]):
    """Marks that stand on letters (e and its accent) as letters, so that offsets stay; what else there is, as it is."""

    def __missing__(self, point: int) -> int:
        char = chr(point)
        letter = "\u0e01" if _BESIDE.match(char) else "\u0259"
        self[point] = found = ord(letter) if unicodedata.category(char)[0] == "M" else point
        return found


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    text = text if text.isascii() else text.translate(_Letters())
    done = 0
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None:
            continue
        end = at.start()
        if text[end] in "[({<":
            end = len(text[:end].rstrip(" \t")) if text[max(0, end - 1)] in " \t" else end
        start = _start(text, end, done)
        if start < end and text[start:end] not in _NOBODY and not _PICTURE.fullmatch(domain[0]):
            done = domain.end()
            yield start, done


def _start(text: str, end: int, least: int) -> int:
    """Where the name that ends at `end` begins; `end` itself where there is none."""
    start = end
    own = _BESIDE.match(text[end - 1 : end]) is not None
    while start > max(least, end - _LONGEST) and _in_name(text[start - 1], own):
        start -= 1
    if start and text[start - 1] == "\\" and text[start : start + 1] in ("n", "r", "t"):
        start += 1
    while start < end and text[start] in ".'-&":
        start += 1
    return start


def _in_name(char: str, own: bool) -> bool:
    """own: whether the name ends in a script that is written without spaces."""
    if char.isascii() or own:
        return char.isalnum() or char in _MARKS
    return char.isalnum() and not _BESIDE.match(char)
