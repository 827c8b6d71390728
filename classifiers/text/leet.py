"""Digits and signs for letters (leet): `b0mb`, `h0w 70 k1ll`. Pure."""

import re
from collections.abc import Mapping
from itertools import islice, product
from math import inf

_READ: Mapping[str, str] = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "li", "8": "b",
    "9": "g", "6": "g",
}  # fmt: skip
"""What each may stand for, the likeliest first."""

_SIGNS = "013457@$!|"
_DIGIT_IN_WORD = re.compile(rf"[A-Za-z][{_SIGNS}689]{{1,3}}[A-Za-z]")
_TOKEN = re.compile(rf"(?<![\w.@/:])[A-Za-z{_SIGNS}689]+(?:'[A-Za-z{_SIGNS}]+)?")
_SIGN = re.compile(r"[^A-Za-z']")
_LETTER = re.compile("[A-Za-z]")
_ENDS = "!|"
_SEVERAL = 3
_ALONE = {"4": "a", "@": "a", "1": "i", "!": "i", "0f": "of", "0r": "or", "1n": "in", "1f": "if"}
"""What would spell other words, or none, and is these where all around is leet."""

_COMMON = 3000
"""The rank up to which a number is read as a word, where all around is leet."""

_FEW = 32
"""Readings of one word that are tried."""


def read(text: str) -> str:
    """The text with its leet read as letters.

    A word of four characters and more is read by itself if a sign stands between letters and a known word comes of
    it. Where most words with signs spell known ones, and three do, all of them are read.
    """
    if not _DIGIT_IN_WORD.search(text):
        return text
    from classifiers.text.lexicon import RANKS

    tokens = [match[0] for match in _TOKEN.finditer(text) if _SIGN.search(match[0]) and _LETTER.search(match[0])]
    certain = {token: word for token in set(tokens) if (word := _alone(token, RANKS))}
    if not certain:
        return text
    longer = [token for token in tokens if len(token) > 2]
    spelled = sum(_best(token.rstrip(_ENDS), RANKS)[1] < inf for token in longer)
    everywhere = spelled >= _SEVERAL and spelled * 5 >= 3 * len(longer)

    def letters(match: re.Match[str]) -> str:
        token = match[0]
        if not _SIGN.search(token):
            return token
        return certain.get(token) or (_anyhow(token, RANKS) if everywhere else token)

    return _TOKEN.sub(letters, text)


def _alone(token: str, ranks: Mapping[str, int]) -> str:
    """What a token spells that can hardly be anything but leet; else nothing."""
    if len(token) < 4 or not _DIGIT_IN_WORD.search(token):
        return ""
    # a11y and i18n are written so, and mean what they say
    if re.fullmatch(r"[A-Za-z]\d\d+[A-Za-z]", token):
        return ""
    word, found = _best(token, ranks)
    return word if found < inf else ""


def _anyhow(token: str, ranks: Mapping[str, int]) -> str:
    """What a token spells among others that are leet."""
    if token in _ALONE:
        return _ALONE[token]
    core = token.rstrip(_ENDS)
    for part in dict.fromkeys((token, core)):
        word, found = _best(part, ranks)
        if found < (inf if _LETTER.search(part) else _COMMON):
            return word + token[len(part) :]
    if not _LETTER.search(core):
        return token
    likeliest = "".join(_READ.get(char, char)[0] for char in core)
    return likeliest.replace("ii", "ll") + token[len(core) :]


def _best(token: str, ranks: Mapping[str, int]) -> tuple[str, float]:
    """The most frequent word that a token may stand for, and its rank; an ending such as 's is left as it is."""
    stem, mark, ending = token.partition("'")
    choices = [_READ.get(char, char) for char in stem]
    readings = ["".join(letters) for letters in islice(product(*choices), _FEW)]
    best = min(readings, key=lambda word: ranks.get(word.lower(), inf))
    tail = "".join(_READ.get(char, char)[0] for char in ending)
    return best + mark + tail, ranks.get(best.lower(), inf)
