"""A teacher's answer → labelled texts. Pure.

Models add words around the requested JSON and break it: with extra commas, unescaped quotes, a missing end. The reader
salvages whole strings, lists and objects.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from classifiers.training.rows import encodable

_MOST_STARTS: Final = 200
"""The most opening brackets that are tried."""
_DEEPEST_JSON: Final = 8
_STRICTLY: Final = json.JSONDecoder(strict=False)
"""JSON, except that strings may contain line ends and tabs."""
_START: Final = re.compile(r"[\[{]")
_SPACE: Final = re.compile(r"\s*")
_BETWEEN: Final = re.compile(r"[\s,]*")
_WORD: Final = re.compile(r"(?:-?\d[\d.eE+-]*|true|false|null|None)(?=\s*[,\]}])")
_QUOTES: Final = {'"': '"', "'": "'", "“": "”"}
_ESCAPE: Final = re.compile(r'\\["\\/bfnrtu]|\\|"')
_ENDS_ITEM: Final = re.compile(r"""\s*(?:[\]}]|\Z|,\s*(?:["'“\[{\]}]|-?\d|true|false|null|\Z))|\s*\n\s*["“\[{]""")
"""What follows the quotation mark that ends a string, and no quotation mark within."""
_ENDS_KEY: Final = re.compile(r"\s*:")


_Barren = dict[tuple[str, re.Pattern[str]], int]
"""The place from which no string ends, by its quotation mark and what must follow it."""


class _Broken(Exception):
    """Nothing more can be read here."""


def values(text: str) -> Iterator[tuple[Any, int, int]]:
    """(value, begin, end) of each outermost list or object in a text, in order.

    Broken JSON is read as far as possible: its whole strings, lists and objects, without strings that are cut off.
    """
    place = 0
    barren: _Barren = {}
    for _ in range(_MOST_STARTS):
        bracket = _START.search(text, place)
        if bracket is None:
            return
        start = bracket.start()
        try:
            value, place = _STRICTLY.raw_decode(text, start)
        except (ValueError, RecursionError):
            reader = _Reader(text, start, barren)
            try:
                value, place = reader.value(_DEEPEST_JSON), reader.place
            except _Broken:
                value, place = None, start + 1
        if value:
            yield value, start, place


class _Reader:
    """Reads a value from a place. Where something is broken, all enclosing values end with what was read.

    barren: known places from which strings end nowhere; the reader adds to it.
    """

    def __init__(self, text: str, place: int, barren: _Barren) -> None:
        self.place = place
        self._barren = barren
        self._text = text
        self._broken = False

    def value(self, depth: int) -> Any:
        """The next value. Raises _Broken where nothing can be read."""
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
        """A string up to a quotation mark that `ends` follows; a key up to its first quotation mark."""
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
        skipped = what.match(self._text, self.place)
        self.place = skipped.end() if skipped else self.place


def _escaped(text: str, start: int, place: int) -> bool:
    """Whether an odd number of backslashes precedes a place."""
    first = place
    while first > start and text[first - 1] == "\\":
        first -= 1
    return (place - first) % 2 == 1


def _unescaped(inside: str) -> str:
    """The text of a string; bare quotation marks and wrong escapes are kept as they are."""
    mended = _ESCAPE.sub(lambda sign: {'"': '\\"', "\\": ""}.get(sign[0], sign[0]), inside)
    try:
        return str(json.loads(f'"{mended}"', strict=False))
    except ValueError:
        return inside


Labels = tuple[str, ...]

_LONGEST_CHARS = 1000
_DEEPEST = 4
"""How deep lists and objects may be nested."""
_FEWEST_LINES = 2
"""A single line is more often a refusal than a message."""
_THOUGHT = re.compile(r"""\A.*^(?:[^"\n]|"[^"\n]*")*</think(?:ing)?>""", re.DOTALL | re.MULTILINE)
"""Everything up to the last end tag of a thought; a tag within quotes is part of a message."""
_BEGINS = re.compile(r"\s*<think(?:ing)?>")
_ENDS = re.compile(r"</think(?:ing)?>")
_MARK = re.compile(r"^\s*(?:[-*](?=\s)|•|\d+[.):](?!\d))\s*")
_NUMBER = re.compile(r"\s*(\d{1,4})[.):](?!\d)\s*")
_NUMBERED = re.compile(r"\D*\d+\D*")
_PREFACE = re.compile(r":\s*$")
_STANDS_FOR_TEXT = re.compile(r"[\s.…]*")
"""The placeholders of the prompt's own example."""
_TEXT_KEYS = ("text", "message", "sentence", "content", "utterance", "query")
_BETWEEN_WORDS = re.compile(r"[\s_./-]+")
_LETTER = re.compile(r"[^\W\d_]")


def parse(answer: str) -> list[str]:
    """The texts in an answer: the longest JSON list of strings or of objects with a text, the last of equally long
    ones, else lines with numbers or bullets. Objects in a row are a list, and so is an object with numbers as keys."""
    reply = _without_thought(answer)
    listed = _longest(_tidy(_texts(value, _DEEPEST)) for value in _lists(reply))
    if not listed and "[" not in reply and "{" not in reply:
        lines = [line for line in reply.splitlines() if _MARK.match(line) and not _PREFACE.search(line)]
        if len(lines) >= _FEWEST_LINES:
            listed = _tidy([_MARK.sub("", line).strip().strip('"') for line in lines])
    return listed


def parse_keyed(answer: str, keys: Mapping[str, Labels], *, most: int) -> list[tuple[str, Labels]]:
    """(text, labels) of a JSON object with a list of texts for each key, or of a list of objects with these keys.

    A key may differ in case or in the marks between its words, if it is clear which is meant. The longest list of a key
    counts, the last of equally long ones. A text under two keys is left out. most: texts of each key.
    """
    meant = _meant(keys)
    lists = [list(_objects(value, meant, _DEEPEST)) for value in _lists(_without_thought(answer))]
    listed = {key: _longest(_tidy(_under(key, objects)) for objects in lists) for key in keys}
    everywhere = [text for texts in listed.values() for text in texts]
    return [(text, keys[key]) for key, texts in listed.items() for text in texts[:most] if everywhere.count(text) == 1]


def _without_thought(answer: str) -> str:
    """The answer without its thought; empty where it broke off in thought."""
    reply = _THOUGHT.sub("", answer)
    if not _BEGINS.match(reply):
        return reply
    # a single quotation mark in the thought hides its end tag
    return _ENDS.split(reply)[-1] if _ENDS.search(reply) else ""


def _longest(lists: Iterable[list[str]]) -> list[str]:
    """The last of the longest lists: drafts come first."""
    return max(reversed(list(lists)), key=len, default=[])


def _lists(reply: str) -> Iterator[Any]:
    """Every list and object in an answer; objects with no word between them also as one list."""
    run: list[Any] = []
    ended = 0
    for value, begins, ends in values(reply):
        if not isinstance(value, dict) or _LETTER.search(reply, ended, begins):
            if len(run) >= _FEWEST_LINES:
                yield run
            run = []
        if isinstance(value, dict):
            run.append(value)
        yield value
        ended = ends
    if len(run) >= _FEWEST_LINES:
        yield run


def _texts(value: Any, depth: int) -> list[str]:
    """The texts of a list or an object."""
    if isinstance(value, dict) and depth:
        return _of_object(value, depth)
    if not isinstance(value, list) or not depth:
        return []
    if len(value) == 1 and isinstance(value[0], dict) and not any(isinstance(held, str) for held in value[0].values()):
        return _of_object(value[0], depth - 1)
    text_of = _text_of([item for item in value if isinstance(item, dict)])
    listed: list[str] = []
    for item in value:
        if isinstance(item, list):
            listed += _texts(item, depth - 1)
        elif isinstance(text := text_of(item) if isinstance(item, dict) else item, str):
            listed.append(text)
    return listed


def _of_object(value: Mapping[str, Any], depth: int) -> list[str]:
    """The texts under numbered keys, or in the longest list within."""
    if any(key.casefold() in _TEXT_KEYS and isinstance(held, str) for key, held in value.items()):
        # the other keys describe this single text, which is more often a refusal
        return []
    if all(map(_NUMBERED.fullmatch, value)):
        return _texts(list(value.values()), depth - 1)
    return _longest(_texts(held, depth - 1) for held in value.values() if not isinstance(held, str))


def _text_of(objects: Sequence[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], Any]:
    """A function that finds an object's text: under the first usual key, else its only string, if its key is a
    number or the same in several objects."""
    only = [[key for key, value in item.items() if isinstance(value, str)] for item in objects]
    names = [keys[0] for keys in only if len(keys) == 1]
    alike = len(names) == len(only) and (
        all(map(_NUMBERED.fullmatch, names)) or (len(names) >= _FEWEST_LINES and len(set(names)) == 1)
    )

    def find(item: Mapping[str, Any]) -> Any:
        named = {key.casefold(): value for key, value in item.items() if isinstance(value, str)}
        usual = next((named[key] for key in _TEXT_KEYS if key in named), None)
        return usual if usual is not None or not alike else next(iter(named.values()))

    return find


def _meant(keys: Iterable[str]) -> Callable[[str], str]:
    """A function that maps a key of an answer to the requested key; to itself where that is not clear."""
    plain = {key: _plain(key) for key in keys}
    counts = Counter(plain.values())
    of_plain = {words: key for key, words in plain.items() if counts[words] == 1}
    return lambda key: key if key in plain else of_plain.get(_plain(key), key)


def _plain(key: str) -> str:
    return _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", key).casefold()).strip()


def _objects(value: Any, meant: Callable[[str], str], depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects in a value, with requested keys."""
    if isinstance(value, dict):
        yield {meant(key): held for key, held in value.items()}
    if depth and isinstance(value, dict | list):
        for held in value.values() if isinstance(value, dict) else value:
            yield from _objects(held, meant, depth - 1)


def _under(key: str, objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts of objects under a key."""
    texts: list[str] = []
    for item in objects:
        value = item.get(key)
        texts += [value] if isinstance(value, str) else _texts(value, _DEEPEST)
    return texts


def _tidy(texts: Sequence[str]) -> list[str]:
    plain = (" ".join(encodable(text).split()) for text in _unnumbered(texts))
    kept = (text for text in dict.fromkeys(plain) if len(text) <= _LONGEST_CHARS)
    return [text for text in kept if not _STANDS_FOR_TEXT.fullmatch(text)]


def _unnumbered(texts: Sequence[str]) -> Sequence[str]:
    """The texts without their numbers, where all have one and the numbers rise."""
    listed = [match for text in texts if (match := _NUMBER.match(text))]
    numbers = [int(match[1]) for match in listed]
    if len(listed) < len(texts) or numbers != sorted(set(numbers)) or (len(numbers) == 1 and numbers != [1]):
        return texts
    return [text[match.end() :] for text, match in zip(texts, listed, strict=True)]
