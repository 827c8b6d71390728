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

Labels = tuple[str, ...]

_MOST_STARTS: Final = 200
"""The most opening brackets that are tried."""
_DEEPEST: Final = 6
"""How deep lists and objects may be nested."""
_STRICTLY: Final = json.JSONDecoder(strict=False)
"""JSON, except that strings may contain line ends and tabs."""
_START: Final = re.compile(r"[\[{]")
_BETWEEN: Final = re.compile(r"[\s,]*")
_WORD: Final = re.compile(r"(?:-?\d[\d.eE+-]*|true|false|null|None)(?=\s*[,\]}])")
_STRING: Final = re.compile(
    r"""(["'])((?:[^"'\\]|\\.|(?!\1)["']|["'](?!\s*(?:[\]}]|\Z|,\s*(?:["'\[{\]}]|-?\d|true|false|null|\Z))"""
    r"""|\s*\n\s*["'\[{]))*+)\1""",
    re.DOTALL,
)
"""A string up to a quotation mark behind which an item ends; others are part of it."""
_KEY: Final = re.compile(r'(["\'])([^"\'\n]*)\1\s*:\s*')
_WRONG_ESCAPE: Final = re.compile(r'(\\["\\/bfnrtu])|\\|(")')


def values(text: str) -> Iterator[tuple[Any, int, int]]:
    """(value, begin, end) of each outermost list or object in a text, in order. Broken JSON is read as far as possible:
    its whole strings, lists and objects, without strings that are cut off."""
    place = 0
    for _ in range(_MOST_STARTS):
        bracket = _START.search(text, place)
        if bracket is None:
            return
        start = bracket.start()
        try:
            value, place = _STRICTLY.raw_decode(text, start)
        except (ValueError, RecursionError):
            value, place, _ = _broken(text, start, _DEEPEST)
        if value:
            yield value, start, place


def _broken(text: str, place: int, depth: int) -> tuple[Any, int, bool]:
    """(value, end, whole) of broken JSON: its whole parts up to the first that cannot be read."""
    if string := _STRING.match(text, place):
        return _unescaped(string[2]), string.end(), True
    if word := _WORD.match(text, place):
        return None, word.end(), True
    sign = text[place : place + 1]
    if not depth or sign not in {"[", "{"}:
        return None, place + 1, False
    listed: list[Any] = []
    named: dict[str, Any] = {}
    place += 1
    while True:
        place += len(_BETWEEN.match(text, place)[0])  # type: ignore[index] # it matches everywhere
        if text.startswith("]" if sign == "[" else "}", place):
            return listed or named, place + 1, True
        key = _KEY.match(text, place) if sign == "{" else None
        if sign == "{" and key is None:
            return named, place, False
        value, place, whole = _broken(text, key.end() if key else place, depth - 1)
        if key and (whole or value):
            named[key[2]] = value
        elif value or (whole and value is not None):
            listed.append(value)
        if not whole:
            return listed or named, place, False


def _unescaped(inside: str) -> str:
    """The text of a string; bare quotation marks are kept, wrong escapes lose their backslash."""
    mended = _WRONG_ESCAPE.sub(lambda sign: sign[1] or (sign[2] and '\\"') or "", inside)
    try:
        return str(json.loads(f'"{mended}"', strict=False))
    except ValueError:
        return inside


_LONGEST_CHARS = 1000
_FEWEST_LINES = 2
"""A single line is more often a refusal than a message."""
_THOUGHT = re.compile(r"""\A.*^(?:[^"\n]|"[^"\n]*")*</think(?:ing)?>""", re.DOTALL | re.MULTILINE)
"""Everything up to the last end tag of a thought; a tag within quotes is part of a message."""
_BEGINS = re.compile(r"\s*<think(?:ing)?>")
_ENDS = re.compile(r"</think(?:ing)?>")
_MARK = re.compile(r"^\s*(?:[-*](?=\s)|•|\d+[.):](?!\d))\s*")
_NUMBER = re.compile(r"\s*(\d{1,4})[.):](?!\d)\s*")
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
    listed = _longest(_tidy(_texts(value)) for value in _lists(reply))
    if not listed and not _START.search(reply):
        lines = [line for line in reply.splitlines() if _MARK.match(line) and not _PREFACE.search(line)]
        if len(lines) >= _FEWEST_LINES:
            listed = _tidy([_MARK.sub("", line).strip().strip('"') for line in lines])
    return listed


def parse_keyed(answer: str, keys: Mapping[str, Labels], *, most: int) -> list[tuple[str, Labels]]:
    """(text, labels) of a JSON object with a list of texts for each key, or of a list of objects with these keys. A key
    may differ in case or in the marks between its words, if it is clear which is meant. The longest list of a key
    counts, the last of equally long ones. A text under two keys is left out. most: texts of each key."""
    meant = _meant(keys)
    lists = [list(_objects(value, meant)) for value in _lists(_without_thought(answer))]
    listed = {key: _longest(_tidy(_under(key, objects)) for objects in lists) for key in keys}
    counts = Counter(text for texts in listed.values() for text in texts)
    return [(text, keys[key]) for key, texts in listed.items() for text in texts[:most] if counts[text] == 1]


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
            yield run
            run = []
        if isinstance(value, dict):
            run.append(value)
        yield value
        ended = ends
    yield run


def _texts(value: Any, depth: int = _DEEPEST) -> list[str]:
    """The texts of a list, or of the longest list in an object."""
    if not depth or not isinstance(value, dict | list):
        return []
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, list):
        found = (_texts(item, depth - 1) if isinstance(item, list) else [_text_of(item)] for item in value)
        return [text for texts in found for text in texts if isinstance(text, str)]
    if all(map(str.isdigit, value)):
        return _texts(list(value.values()), depth - 1)
    # an object with a text is more often a refusal
    return [] if _text_of(value) else _longest(_texts(held, depth - 1) for held in value.values())


def _text_of(item: Any) -> Any:
    """An item, or an object's text under the first of the usual keys."""
    if not isinstance(item, dict):
        return item
    named = {key.casefold(): held for key, held in item.items() if isinstance(held, str)}
    return next((named[key] for key in _TEXT_KEYS if key in named), None)


def _meant(keys: Iterable[str]) -> Callable[[str], str]:
    """A function that maps a key of an answer to the requested key; to itself where that is not clear."""
    plain = {key: _plain(key) for key in keys}
    counts = Counter(plain.values())
    of_plain = {words: key for key, words in plain.items() if counts[words] == 1}
    return lambda key: key if key in plain else of_plain.get(_plain(key), key)


def _plain(key: str) -> str:
    return _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", key).casefold()).strip()


def _objects(value: Any, meant: Callable[[str], str], depth: int = _DEEPEST) -> Iterator[Mapping[str, Any]]:
    """The objects in a value, with requested keys."""
    if isinstance(value, dict):
        yield {meant(key): held for key, held in value.items()}
    if depth and isinstance(value, dict | list):
        for held in value.values() if isinstance(value, dict) else value:
            yield from _objects(held, meant, depth - 1)


def _under(key: str, objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts of objects under a key."""
    held = [item.get(key) for item in objects]
    return [text for value in held for text in ([value] if isinstance(value, str) else _texts(value))]


def _tidy(texts: Sequence[str]) -> list[str]:
    """Different texts on one line each, without rising numbers before them, placeholders and overlong ones."""
    numbers = [_NUMBER.match(text) for text in texts]
    if [number and int(number[1]) for number in numbers] == list(range(1, len(texts) + 1)):
        texts = [_NUMBER.sub("", text, count=1) for text in texts]
    plain = dict.fromkeys(" ".join(encodable(text).split()) for text in texts)
    return [text for text in plain if len(text) <= _LONGEST_CHARS and not _STANDS_FOR_TEXT.fullmatch(text)]
