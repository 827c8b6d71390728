"""Which scripts a text is written in, and which ones a policy's languages are written in."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter

from classifiers import data
from classifiers.text.language import ANY, code_of, detectable

ANOTHER = "another script"
"""Stands for every script that has no entry here: historic ones, and those of few."""

_NOT_LATIN = re.compile(
    "[^\x00-\u036f\u1ab0-\u1aff\u1d00-\u1eff\u2000-\u2bff\u2c60-\u2c7f\u2e00-\u303f\ua700-\ua7ff\uab30-\uab6f"
    "\ufb00-\ufb06\ufe00-\ufe6f\uff00-\uff65\U00010780-\U000107bf\U0001d400-\U0001d7ff\U0001df00-\U0001dfff"
    "\U0001f000-\U0001faff]"
)
"""What is neither Latin, phonetic letters and those in another dress included, nor of all scripts: marks, signs, emoji,
and what Chinese and Japanese share."""


@cache
def _languages() -> Mapping[str, frozenset[str]]:
    return {script: frozenset(codes.split()) for script, _, codes in _rows()}


@cache
def _blocks() -> Sequence[tuple[str, str, str]]:
    """(first, last, script) of each range of letters, in order."""
    ranges = ((range_.split("-"), script) for script, ranges, _ in _rows() for range_ in ranges.split())
    return sorted((chr(int(first, 16)), chr(int(last, 16)), script) for (first, last), script in ranges)


def _rows() -> Iterator[list[str]]:
    return (line.split("\t") for line in data.lines("scripts.txt") if not line.startswith("#"))


def letters(text: str) -> Mapping[str, int]:
    """How many letters of each script but Latin the text has. Empty for plain ASCII."""
    if text.isascii():
        return {}
    counts: Counter[str] = Counter()
    for char, count in Counter(_NOT_LATIN.findall(text)).items():
        if script := _script(char):
            counts[script] += count
    return dict(counts)


def written_in(languages: Iterable[str]) -> frozenset[str]:
    """The scripts, Latin aside, of some languages by their ISO 639 codes (`zh-Hant` reads as `zh`). Latin letters stand
    in texts of any language; an unknown code may be written in them or in ANOTHER script. `any` is written in all."""
    codes = set(map(code_of, languages))
    if ANY in codes:
        return frozenset((*_languages(), ANOTHER))
    scripts = {script for script, known in _languages().items() if known & codes}
    listed = frozenset().union(*_languages().values())
    is_known = all(code in listed or detectable([code]) for code in codes)
    return frozenset(scripts if is_known else {*scripts, ANOTHER})


def _script(char: str) -> str:
    """Of a character that is not Latin; empty where it is no letter. A script's own marks count as letters."""
    index = bisect_right(_blocks(), char, key=itemgetter(0)) - 1
    _, last, script = _blocks()[index]
    if char <= last:
        return script
    return ANOTHER if char.isalpha() else ""
