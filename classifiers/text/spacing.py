"""Letters that were parted by gaps or marks, drawn out, or replaced by digits and signs: the words that they spell.

What only looks like that stays: a list of letters, a version, an abbreviation, an address. Where a disguise could be
chance, it is undone only if a known word comes of it. The words are English; other languages keep what they have.
"""

import re
from itertools import islice, product
from math import inf

_SPACED = re.compile(r"(?<!\S)\S(?:\s++\S){3,}(?![^\s.,;:!?)])")
_GAP = re.compile(r"\s+")
_RUN_TOGETHER = re.compile(r"[A-Za-z]{5,}")
_SURELY_SEVERAL = 10
_MARKED = re.compile(r"(?<![^\W_])[^\W\d_](?:[-._*~|/+=:·•^][^\W\d_]){3,}(?![^\W_])")
_NO_SPACE = re.compile(r"\S{3,}")
_DRAWN_OUT = re.compile(r"([A-Za-z])\1{2,}")
_WORD = re.compile(r"[A-Za-z]+")
_INSIDE = re.compile(r"(?<![\w.*~^|])[A-Za-z]+(?:[.*_~^|]+[A-Za-z]+)+(?![\w.*~^|])")

_SIGNS = "@$!|"
_SIGN_IN_WORD = re.compile(r"(?<=[A-Za-z013457@$!|])[013457@$!|]|[013457@$!|](?=[A-Za-z013457@$!|])")
_LETTERS = str.maketrans("013457@$!|", "oieastasii")
_FEW = 16
"""Readings of one word that are tried."""


def join(text: str) -> str:
    """Everything here undone, in ASCII as in other text."""
    if _SPACED.search(text):
        text = _SPACED.sub(_close_gaps, text)
    if _MARKED.search(text):
        text = _take_marks(text)
    if _DRAWN_OUT.search(text):
        text = _WORD.sub(_shorten, text)
    if _INSIDE.search(text):
        text = _INSIDE.sub(_heal, text)
    return text


def _close_gaps(match: re.Match[str]) -> str:
    """Letters with gaps: the narrowest gap is within words; where all are alike, frequencies tell words apart."""
    letters = _GAP.split(match[0])
    real = sum(letter.isalpha() for letter in letters)
    # digits and signs may stand for letters, where most are letters
    possible = sum(letter.isalnum() or letter in _SIGNS for letter in letters)
    if real * 2 <= len(letters) or possible * 4 < 3 * len(letters):
        return match[0]
    gaps = _GAP.findall(match[0])
    narrow, wide = min(map(len, gaps)), max(map(len, gaps))
    if narrow == wide:
        joined = "".join(letters)
        if real < len(letters):
            joined = _SIGN_IN_WORD.sub(lambda sign: sign[0].translate(_LETTERS), joined)
        return _RUN_TOGETHER.sub(_part, joined)
    return letters[0] + "".join(
        letter if len(gap) == narrow else " " + letter for gap, letter in zip(gaps, letters[1:], strict=True)
    )


def _part(match: re.Match[str]) -> str:
    from classifiers.text.lexicon import RANKS, part

    word = match[0]
    words = [word] if word.lower() in RANKS else part(word)
    known = all(each.lower() in RANKS for each in words)
    return " ".join(words) if known or len(word) >= _SURELY_SEVERAL else word


def _take_marks(text: str) -> str:
    """A word of four letters and more shows which mark parts them; shorter ones with the same mark are read too."""
    marks = {word[0][1] for word in _MARKED.finditer(text)}

    def whole(match: re.Match[str]) -> str:
        word = match[0]
        return word[::2] if len(word) % 2 and word[1] in marks and set(word[1::2]) == {word[1]} else word

    return _MARKED.sub(lambda match: match[0][::2], _NO_SPACE.sub(whole, text))


def _shorten(match: re.Match[str]) -> str:
    """`kiiilll` → `kill`: runs of three letters and more become two or one where that makes a word."""
    from classifiers.text.lexicon import rank

    word = match[0]
    if len(word) < 4 or not _DRAWN_OUT.search(word) or rank(word) < inf:
        return word
    parts = re.split(r"(([A-Za-z])\2{2,})", word)
    # split gives text, run, its letter, text, …
    choices = [
        (part,) if place % 3 == 0 else (part[:2], part[:1]) for place, part in enumerate(parts) if place % 3 != 2
    ]
    best = min(("".join(letters) for letters in islice(product(*choices), _FEW)), key=rank)
    return word if rank(best) == inf else best


def _heal(match: re.Match[str]) -> str:
    """`bo.mb` → `bomb`: marks inside go where the whole is a more frequent word than any of its parts."""
    from classifiers.text.lexicon import rank

    letters = _WORD.findall(match[0])
    joined = "".join(letters)
    return joined if len(joined) > 3 and rank(joined) < min(map(rank, letters)) else match[0]
