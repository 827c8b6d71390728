"""JSON that models write, and what can be saved of it: a comma too many, a quotation mark that is not escaped, an end
that is missing. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_MOST_STARTS: Final = 200
"""Brackets that are looked at."""
_DEEPEST: Final = 8
_STRICTLY: Final = json.JSONDecoder(strict=False)
"""But for line ends and tabs, which may stand within its strings."""
_START: Final = re.compile(r"[\[{]")
_SPACE: Final = re.compile(r"\s*")
_BETWEEN: Final = re.compile(r"[\s,]*")
_WORD: Final = re.compile(r"(?:-?\d[\d.eE+-]*|true|false|null|None)(?=\s*[,\]}])")
_QUOTES: Final = {'"': '"', "'": "'", "“": "”"}
_ESCAPE: Final = re.compile(r'\\["\\/bfnrtu]|\\|"')
_ENDS_ITEM: Final = re.compile(r"""\s*(?:[\]}]|\Z|,\s*(?:["'“\[{\]}]|-?\d|true|false|null|\Z))|\s*\n\s*["“\[{]""")
"""What follows the quotation mark that ends a string, and none within."""
_ENDS_KEY: Final = re.compile(r"\s*:")


_Barren = dict[tuple[str, re.Pattern[str]], int]
"""From where on no string ends, by its quotation mark and what must follow that."""


class _Broken(Exception):
    """It ends here, whether or not it should."""


def values(text: str) -> Iterator[tuple[Any, int, int]]:
    """(value, begin, end) of each list or object that stands in a text and in no other one, from its first on.

    What is no JSON is read as far as it goes, without a string that is cut off: its whole strings, lists and objects.
    """
    place = 0
    barren: _Barren = {}
    for _ in range(_MOST_STARTS):
        found = _START.search(text, place)
        if found is None:
            return
        start = found.start()
        try:
            value, place = _STRICTLY.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, place = _nearly(text, start, barren)
        if value:
            yield value, start, place


def _nearly(text: str, start: int, barren: _Barren) -> tuple[Any, int]:
    reader = _Reader(text, start, barren)
    try:
        value = reader.value(_DEEPEST)
    except _Broken:
        return None, start + 1
    return value, reader.place


class _Reader:
    """Reads on from a place. Where something is broken, all that it is within ends with what there is. barren: what is
    known to end nowhere, to be added to."""

    def __init__(self, text: str, place: int, barren: _Barren) -> None:
        self.place = place
        self._barren = barren
        self._text = text
        self._broken = False

    def value(self, depth: int) -> Any:
        """Raises _Broken where nothing of one can be read."""
        sign = self._text[self.place : self.place + 1]
        if sign in _QUOTES:
            return self._string(_ENDS_ITEM)
        if sign and sign in "[{" and depth:
            self.place += 1
            return self._list(depth - 1) if sign == "[" else self._object(depth - 1)
        if word := _WORD.match(self._text, self.place):
            self.place = word.end()
            return None
        raise _Broken

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self._ended("]"):
            try:
                items.append(self.value(depth))
            except _Broken:
                self._broken = True
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not self._ended("}"):
            try:
                key = self._string(_ENDS_KEY)
                self._skip(_SPACE)
                self.place += 1
                self._skip(_SPACE)
                items[key] = self.value(depth)
            except _Broken:
                self._broken = True
        return items

    def _ended(self, sign: str) -> bool:
        if self._broken:
            return True
        self._skip(_BETWEEN)
        if self._text[self.place : self.place + 1] == sign:
            self.place += 1
            return True
        return False

    def _string(self, ends: re.Pattern[str]) -> str:
        """Up to the quotation mark that is followed as the last one is; of a key, which holds none, up to the first."""
        closing = _QUOTES.get(self._text[self.place : self.place + 1])
        start = end = self.place + 1
        if closing is None or start >= self._barren.get((closing, ends), len(self._text)):
            raise _Broken
        while (end := self._text.find(closing, end)) >= 0:
            if not _escaped(self._text, start, end) and ends.match(self._text, end + 1):
                self.place = end + 1
                return _unescaped(self._text[start:end])
            if ends is _ENDS_KEY:
                raise _Broken
            end += 1
        self._barren[closing, ends] = start
        raise _Broken

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self.place)
        self.place = found.end() if found else self.place


def _escaped(text: str, start: int, place: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    first = place
    while first > start and text[first - 1] == "\\":
        first -= 1
    return (place - first) % 2 == 1


def _unescaped(inside: str) -> str:
    """A string's text; a quotation mark in it stands for itself, and so does what no escape begins."""
    try:
        told: str = json.loads(f'"{_ESCAPE.sub(_mended, inside)}"', strict=False)
    except ValueError:
        return inside
    return told


def _mended(sign: re.Match[str]) -> str:
    return {'"': '\\"', "\\": ""}.get(sign[0], sign[0])
