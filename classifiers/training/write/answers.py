"""A teacher's answer → labelled texts, parsed with distrust: models talk around what they were asked for. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from classifiers.training.rows import encodable

Labels = tuple[str, ...]

_LONGEST_CHARS = 1000
_MOST_STARTS = 50
_FEWEST_LINES = 2
"""A single line is more often a refusal than a message."""
_THOUGHT = re.compile(r"""\A.*^(?:[^"\n]|"[^"\n]*")*</think(?:ing)?>""", re.DOTALL | re.MULTILINE)
"""Up to the last tag that ends a thought; within quotes it is part of a message."""
_BEGINS = re.compile(r"\s*<think(?:ing)?>")
_ENDS = re.compile(r"</think(?:ing)?>")
_MARK = re.compile(r"^\s*(?:[-*](?=\s)|•|\d+[.):](?!\d))\s*")
_PREFACE = re.compile(r":\s*$")
_STANDS_FOR_TEXT = re.compile(r"[\s.…]*")
"""What the prompt's own form has in the places of texts."""


def parse(answer: str) -> list[str]:
    """The texts in an answer: the longest JSON list of strings or of objects with a text, wherever it stands (of
    equally long ones the last), or plain lines that are numbered or have bullets."""
    said = _said(answer)
    found = _longest(_tidy(_texts(value)) for value in _values(said, r"\["))
    if not found and "[" not in said and "{" not in said:
        lines = [line for line in said.splitlines() if _MARK.match(line) and not _PREFACE.search(line)]
        if len(lines) >= _FEWEST_LINES:
            found = _tidy(_MARK.sub("", line).strip().strip('"') for line in lines)
    return found


def parse_keyed(answer: str, keys: Mapping[str, Labels], *, most: int) -> list[tuple[str, Labels]]:
    """(text, labels) of a JSON object with a list of texts for each key; or of a list of objects with these keys.

    Of several lists for a key it is the longest, and of these the last. A text that stands under two keys is in doubt
    and left out. most: texts of each key.
    """
    values = list(_values(_said(answer), r"[\[{]"))
    found = {key: _longest(_tidy(_under(key, value)) for value in values) for key in keys}
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


def _values(answer: str, starts: str) -> Iterator[Any]:
    """What can be decoded as JSON from each of the first brackets."""
    for start in (match.start() for match in islice(re.finditer(starts, answer), _MOST_STARTS)):
        try:
            yield json.JSONDecoder().raw_decode(answer[start:])[0]
        except (ValueError, RecursionError):
            continue


def _under(key: str, value: Any) -> Iterator[str]:
    """The texts that a value has under a key, or that the objects in it have."""
    for item in value if isinstance(value, list) else [value]:
        texts = item.get(key) if isinstance(item, dict) else None
        yield from _texts(texts if isinstance(texts, list) else [texts])


def _texts(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        text = item.get("text", item.get("message")) if isinstance(item, dict) else item
        if isinstance(text, str):
            yield text


def _tidy(texts: Iterable[str]) -> list[str]:
    plain = (" ".join(encodable(text).split()) for text in texts)
    kept = (text for text in dict.fromkeys(plain) if len(text) <= _LONGEST_CHARS)
    return [text for text in kept if not _STANDS_FOR_TEXT.fullmatch(text)]
