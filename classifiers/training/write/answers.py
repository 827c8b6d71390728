"""A teacher's answer → labelled texts, parsed with distrust: models talk around what they were asked for. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from classifiers.training.rows import encodable

Labels = tuple[str, ...]

_LONGEST_CHARS = 1000
_MOST_STARTS = 50
_FEWEST_LINES = 2
"""A single line is more often a refusal than a message."""
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.):])\s*")
_PREFACE = re.compile(r":\s*$")


def parse(answer: str) -> list[str]:
    """The texts in an answer: a JSON list of strings or of objects with a text, wherever it stands, or plain lines."""
    found = _first_list(answer)
    if not found and "[" not in answer and "{" not in answer:
        lines = [line for line in answer.splitlines() if line.strip() and not _PREFACE.search(line)]
        if len(lines) >= _FEWEST_LINES:
            found = [_BULLET.sub("", line).strip().strip('"') for line in lines]
    return _tidy(found)


def parse_keyed(answer: str, keys: Mapping[str, Labels]) -> list[tuple[str, Labels]]:
    """(text, labels) of a JSON object with a list of texts for each key; or of a list of objects with these keys.

    A text that stands under two keys is in doubt and left out.
    """
    found: dict[str, list[str]] = {key: [] for key in keys}
    for value in _values(answer, r"[\[{]"):
        for item in value if isinstance(value, list) else [value]:
            for key in keys:
                texts = item.get(key) if isinstance(item, dict) else None
                found[key] += _texts(texts if isinstance(texts, list) else [texts])
        if any(found.values()):
            break
    tidied = {key: _tidy(texts) for key, texts in found.items()}
    everywhere = [text for texts in tidied.values() for text in texts]
    return [(text, keys[key]) for key, texts in tidied.items() for text in texts if everywhere.count(text) == 1]


def _first_list(answer: str) -> list[str]:
    """Of the lists that stand there the first that holds texts: `[2](people)` begins with one that holds none."""
    return next((texts for value in _values(answer, r"\[") if (texts := list(_texts(value)))), [])


def _values(answer: str, starts: str) -> Iterator[Any]:
    """What can be decoded as JSON from each of the first brackets."""
    for start in (match.start() for match in islice(re.finditer(starts, answer), _MOST_STARTS)):
        try:
            yield json.JSONDecoder().raw_decode(answer[start:])[0]
        except (ValueError, RecursionError):
            continue


def _texts(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        text = item.get("text", item.get("message")) if isinstance(item, dict) else item
        if isinstance(text, str):
            yield text


def _tidy(texts: list[str]) -> list[str]:
    plain = (" ".join(encodable(text).split()) for text in texts)
    return [text for text in dict.fromkeys(plain) if text and len(text) <= _LONGEST_CHARS]
