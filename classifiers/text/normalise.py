"""Undo what hides text from a classifier but not from the model that reads it next.

Written against the character attacks that work on published guards (arXiv 2504.11168): tag characters and
variation selectors that carry text, zero-width characters, bidirectional overrides, fullwidth and
mathematical letters, lookalikes of other scripts, stacked marks, upside-down writing, letters spaced out,
digits for letters and deletion characters. Genuine text of any script stays what it is. Pure.
"""

import re
import unicodedata
from collections.abc import Callable

from classifiers.text import confusables, scripts, spacing
from classifiers.text.confusables import DRAWN

_KEYS = frozenset("\b\x7f")


def undo_deletions(text: str) -> str:
    """What is left of the text where characters delete those before them."""
    if _KEYS.isdisjoint(text):
        return text
    left: list[str] = []
    for char in text:
        if char not in _KEYS:
            left.append(char)
        elif left:
            left.pop()
    return "".join(left)


_LETTERS = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz"
_UPRIGHT = str.maketrans(f"{_LETTERS}¿¡ı˙,'", "abcdefghijklmnopqrstuvwxyz?!i.',")
_ONLY_TURNED = frozenset("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ")
"""Letters that hardly stand anywhere but in upside-down writing."""


def undo_upside_down(text: str) -> str:
    """The text with its upside-down lines read upright, behind what stands upright in them already."""
    if len(_ONLY_TURNED.intersection(text)) < 2:
        return text
    return "\n".join(map(_read_line, text.split("\n")))


def _read_line(line: str) -> str:
    turned = sum(char in _ONLY_TURNED for char in line)
    if turned < 2 or turned * 4 <= sum(char.isalpha() for char in line):
        return line
    upright = " ".join(word for word in line.split() if _ONLY_TURNED.isdisjoint(word))
    return f"{unturned(upright, _turn, 1)} {_turn(line)}"


def _turn(text: str) -> str:
    return text.lower().translate(_UPRIGHT)[::-1]


_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f\u0300-\u036f\u1e00-\u1eff]+")


def unturned(text: str, turn: Callable[[str], str], least: int) -> str:
    """The text without the Latin words that are known only once `turn` has turned them, its white space collapsed.
    Empty where fewer than `least` words of three letters and more become none by turning, and no letters of another
    script are left."""
    from classifiers.text.lexicon import RANKS

    words = {word: turn(word.lower()) in RANKS for word in _LATIN_WORD.findall(text)}
    left = _LATIN_WORD.sub(lambda match: match[0] if not words[match[0]] or match[0].lower() in RANKS else "", text)
    plain = sum(len(word) > 2 and not words[word] for word in _LATIN_WORD.findall(left))
    return " ".join(left.split()) if plain >= least or scripts.letters(left) else ""


LONGEST_WORD = 90
"""Characters, of which a Hangul syllable or a letter with its accent are two or three (NFD); longer words are split,
because a word-piece tokenizer takes characters apart and reads over 100 as one unknown token."""
_MOST_APART = 4
"""Characters that one becomes at most when it is taken apart."""

_PASSES = 12

# the characters of Unicode's category Cf, fillers, selectors of other scripts, unpaired surrogates
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # marks that only decorate: overlays, enclosures
    "\u0334-\u0338\u0488\u0489\u20d0-\u20ff\ua670-\ua672]+"
)
_FLAG = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074"
    "|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_OVERRIDE = re.compile("\u202e([^\u202a-\u202e\u2066-\u2069\n]*)")
_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f])"
    "[\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]{2,}"
)
_LATIN = re.compile("[A-Za-z]")
_MARKED_LETTER = re.compile("[A-Za-z][\u0300-\u036f]+")
_VIETNAMESE = re.compile(
    "[AEIOUYaeiouy](?=[\u0300-\u036f])\u031b?\u0323?[\u0302\u0306]?[\u0300\u0301\u0303\u0309]?(?![\u0300-\u036f])"
)
"""Vowels with one mark for the sound, one for the tone, or both, taken apart."""
_FEW_MARKED = 6
_STRANGE = 4
"""One letter with marks in so many that Vietnamese does not write: it is strewn with marks."""
_WORD = re.compile("[A-Za-z]{3,}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+")


def normalise(text: str) -> str:
    """The text as it is to be read. Idempotent; linear in the text's length; fast on plain ASCII. Hidden text is
    brought out, not dropped: what tag characters or variation selectors spell stands in the result as words. White
    space is collapsed. Case and accents stay; tokenizers differ in what they want."""
    for _ in range(_PASSES):
        after = _pass(text)
        if after == text:
            break
        text = after
    return text


_UNSTORED = dict.fromkeys(map(ord, (*_KEYS, "\u202e")))


def as_stored(text: str) -> str:
    """The text without the characters that make `normalise` leave out some of what is stored: those that delete what
    is before them or turn what is behind them."""
    return text.translate(_UNSTORED)


def _pass(text: str) -> str:
    if not text.isascii():
        text = _unhide(text)
    if _CONTROL.search(text):
        text = _CONTROL.sub("", undo_deletions(text))
    text = confusables.undo_leet(spacing.join(text))
    words = text.split()
    if len(text) * (1 if text.isascii() else _MOST_APART) > LONGEST_WORD:
        words = [part for word in words for part in _parts(word)]
    return " ".join(words)


def _parts(word: str) -> list[str]:
    """A word in parts that are not too long, marks with the letters that bear them as far as that goes."""
    if word.isascii():
        return [word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD)]
    if len(word) * _MOST_APART <= LONGEST_WORD or len(unicodedata.normalize("NFD", word)) <= LONGEST_WORD:
        return [word]
    parts: list[str] = []
    start = letter = length = since = 0
    for place, char in enumerate(word):
        width = len(unicodedata.normalize("NFD", char))
        if unicodedata.category(char)[0] != "M":
            letter, since = place, 0
        if length + width > LONGEST_WORD:
            cut, length = (letter, since) if letter > start else (place, 0)
            parts.append(word[start:cut])
            start = cut
        length += width
        since += width
    return [*parts, word[start:]]


def _unhide(text: str) -> str:
    text = _FLAG.sub("\U0001f3f4", text)
    text = _TAGS.sub(_untag, text)
    text = _SELECTORS.sub(_unselect, text)
    text = _OVERRIDE.sub(_both_ways, text)
    text = _INVISIBLE.sub("", text)
    text = unicodedata.normalize("NFKC", undo_upside_down(text))
    text = _undecorate(_MARKS.sub(lambda match: match[1], text))
    return confusables.undo_lookalikes(text.translate(DRAWN))


def _untag(match: re.Match[str]) -> str:
    return " " + "".join(chr(ord(char) - 0xE0000) for char in match[0] if 0xE0020 <= ord(char) < 0xE007F) + " "


def _unselect(match: re.Match[str]) -> str:
    """Each of the 256 variation selectors can carry a byte; one or two are only an emoji's style."""
    if len(match[0]) < 3:
        return ""
    points = map(ord, match[0])
    carried = bytes(point - 0xFE00 if point < 0xE0100 else point - 0xE0100 + 16 for point in points)
    return " " + as_stored(carried.decode("utf-8", "ignore")) + " "


def _both_ways(match: re.Match[str]) -> str:
    """As stored, which a model reads, or as shown, which a person reads: the way that makes words, or both."""
    from classifiers.text.lexicon import RANKS

    ways = match[1], match[1][::-1]
    words = [_WORD.findall(way.lower()) for way in ways]
    known = [sum(word in RANKS for word in way) for way in words]
    clear = [way for way, own, other in zip(ways, known, known[::-1], strict=True) if own > 2 and own > 4 * other]
    return f" {' '.join(clear or ways)} "


def _undecorate(text: str) -> str:
    """Without marks, where more Latin letters bear some than in any language but Vietnamese, and not only its own."""
    apart = unicodedata.normalize("NFD", text)
    marked = len(_MARKED_LETTER.findall(apart))
    if marked < _FEW_MARKED or marked * 5 < 3 * len(_LATIN.findall(apart)):
        return text
    if (marked - len(_VIETNAMESE.findall(apart))) * _STRANGE < marked:
        return text
    return unicodedata.normalize("NFC", _MARKED_LETTER.sub(lambda match: match[0][0], apart))
