"""A teacher's answer → labelled texts, parsed with distrust: models talk around what they were asked for. Pure.

JSON that models write, and what can be saved of it: a comma too many, a quotation mark that is not escaped, an end
that is missing. Pure.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from classifiers.training.rows import encodable

_MOST_STARTS: Final = 200
"""Brackets that are looked at."""
_DEEPEST_JSON: Final = 8
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
        value = reader.value(_DEEPEST_JSON)
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


Labels = tuple[str, ...]

_LONGEST_CHARS = 1000
_DEEPEST = 4
"""Lists and objects within each other."""
_FEWEST_LINES = 2
"""A single line is more often a refusal than a message."""
_THOUGHT = re.compile(r"""\A.*^(?:[^"\n]|"[^"\n]*")*</think(?:ing)?>""", re.DOTALL | re.MULTILINE)
"""Up to the last tag that ends a thought; within quotes it is part of a message."""
_BEGINS = re.compile(r"\s*<think(?:ing)?>")
_ENDS = re.compile(r"</think(?:ing)?>")
_MARK = re.compile(r"^\s*(?:[-*](?=\s)|•|\d+[.):](?!\d))\s*")
_NUMBER = re.compile(r"\s*(\d{1,4})[.):](?!\d)\s*")
_NUMBERED = re.compile(r"\D*\d+\D*")
_PREFACE = re.compile(r":\s*$")
_STANDS_FOR_TEXT = re.compile(r"[\s.…]*")
"""What the prompt's own form has in the places of texts."""
_TEXT_KEYS = ("text", "message", "sentence", "content", "utterance", "query")
_BETWEEN_WORDS = re.compile(r"[\s_./-]+")
_LETTER = re.compile(r"[^\W\d_]")


def parse(answer: str) -> list[str]:
    """The texts in an answer: the longest JSON list of strings or of objects with a text, wherever it stands (of
    equally long ones the last), or plain lines that are numbered or have bullets. Objects one after another are a
    list, and so are those whose keys are numbers. Of a list that is broken or cut off what is whole counts."""
    said = _said(answer)
    found = _longest(_tidy(_texts(value, _DEEPEST)) for value in _lists(said))
    if not found and "[" not in said and "{" not in said:
        lines = [line for line in said.splitlines() if _MARK.match(line) and not _PREFACE.search(line)]
        if len(lines) >= _FEWEST_LINES:
            found = _tidy([_MARK.sub("", line).strip().strip('"') for line in lines])
    return found


def parse_keyed(answer: str, keys: Mapping[str, Labels], *, most: int) -> list[tuple[str, Labels]]:
    """(text, labels) of a JSON object with a list of texts for each key; or of a list of objects with these keys.

    A key may be written in other case, or with other marks between its words, where that leaves no doubt. Of several
    lists for a key it is the longest, and of these the last. A text that stands under two keys is in doubt and left
    out. most: texts of each key.
    """
    meant = _meant(keys)
    lists = [list(_objects(value, meant, _DEEPEST)) for value in _lists(_said(answer))]
    found = {key: _longest(_tidy(_under(key, objects)) for objects in lists) for key in keys}
    everywhere = [text for texts in found.values() for text in texts]
    return [(text, keys[key]) for key, texts in found.items() for text in texts[:most] if everywhere.count(text) == 1]


def _said(answer: str) -> str:
    """The answer without the thought before it; nothing of one that broke off in thought."""
    said = _THOUGHT.sub("", answer)
    if not _BEGINS.match(said):
        return said
    # a quotation mark that stands alone in the thought hides its end
    return _ENDS.split(said)[-1] if _ENDS.search(said) else ""


def _longest(lists: Iterable[list[str]]) -> list[str]:
    """The last of those with the most texts: drafts come first."""
    return max(reversed(list(lists)), key=len, default=[])


def _lists(said: str) -> Iterator[Any]:
    """Every list and object in an answer; of objects with no word between them, all as one list as well."""
    run: list[Any] = []
    ended = 0
    for value, begins, ends in values(said):
        if not isinstance(value, dict) or _LETTER.search(said, ended, begins):
            yield from _together(run)
            run = []
        if isinstance(value, dict):
            run.append(value)
        yield value
        ended = ends
    yield from _together(run)


def _together(run: list[Any]) -> list[Any]:
    return [run] if len(run) >= _FEWEST_LINES else []


def _texts(value: Any, depth: int) -> list[str]:
    """The texts that a list holds, or an object."""
    if isinstance(value, dict) and depth:
        return _of_object(value, depth)
    if not isinstance(value, list) or not depth:
        return []
    if len(value) == 1 and isinstance(value[0], dict) and not any(isinstance(held, str) for held in value[0].values()):
        return _of_object(value[0], depth - 1)
    text_of = _text_of([item for item in value if isinstance(item, dict)])
    found: list[str] = []
    for item in value:
        if isinstance(item, list):
            found += _texts(item, depth - 1)
        elif isinstance(text := text_of(item) if isinstance(item, dict) else item, str):
            found.append(text)
    return found


def _of_object(value: Mapping[str, Any], depth: int) -> list[str]:
    """Those under numbers, or in the longest list within."""
    if any(key.casefold() in _TEXT_KEYS and isinstance(held, str) for key, held in value.items()):
        # what else it has is of this one text, which alone is more often a refusal
        return []
    if all(map(_NUMBERED.fullmatch, value)):
        return _texts(list(value.values()), depth - 1)
    return _longest(_texts(held, depth - 1) for held in value.values() if not isinstance(held, str))


def _text_of(objects: Sequence[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], Any]:
    """What has the text of each of a list's objects: the first of the usual keys, or else its only string, where that
    has a number for a key, or the same one in several objects."""
    only = [[key for key, held in one.items() if isinstance(held, str)] for one in objects]
    names = [keys[0] for keys in only if len(keys) == 1]
    alike = len(names) == len(only) and (
        all(map(_NUMBERED.fullmatch, names)) or (len(names) >= _FEWEST_LINES and len(set(names)) == 1)
    )

    def find(one: Mapping[str, Any]) -> Any:
        named = {key.casefold(): held for key, held in one.items() if isinstance(held, str)}
        usual = next((named[key] for key in _TEXT_KEYS if key in named), None)
        return usual if usual is not None or not alike else next(iter(named.values()))

    return find


def _meant(keys: Iterable[str]) -> Callable[[str], str]:
    """Which of the keys is meant by one that an answer has; itself where none is, or more than one."""
    plain = {key: _plain(key) for key in keys}
    counts = Counter(plain.values())
    of_plain = {said: key for key, said in plain.items() if counts[said] == 1}
    return lambda key: key if key in plain else of_plain.get(_plain(key), key)


def _plain(key: str) -> str:
    return _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", key).casefold()).strip()


def _objects(value: Any, meant: Callable[[str], str], depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects in a value, each with the keys that are meant."""
    if isinstance(value, dict):
        yield {meant(key): held for key, held in value.items()}
    if depth and isinstance(value, dict | list):
        for held in value.values() if isinstance(value, dict) else value:
            yield from _objects(held, meant, depth - 1)


def _under(key: str, objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts that objects have under a key."""
    found: list[str] = []
    for one in objects:
        held = one.get(key)
        found += [held] if isinstance(held, str) else _texts(held, _DEEPEST)
    return found


def _tidy(texts: Sequence[str]) -> list[str]:
    plain = (" ".join(encodable(text).split()) for text in _unnumbered(texts))
    kept = (text for text in dict.fromkeys(plain) if len(text) <= _LONGEST_CHARS)
    return [text for text in kept if not _STANDS_FOR_TEXT.fullmatch(text)]


def _unnumbered(texts: Sequence[str]) -> Sequence[str]:
    """The texts without their numbers, where all have one and these rise."""
    found = [match for text in texts if (match := _NUMBER.match(text))]
    numbers = [int(match[1]) for match in found]
    if len(found) < len(texts) or numbers != sorted(set(numbers)) or (len(numbers) == 1 and numbers != [1]):
        return texts
    return [text[match.end() :] for text, match in zip(texts, found, strict=True)]
