"""Undo what hides text from a classifier but not from the model that reads it next.

Written against the character attacks that work on published guards (arXiv 2504.11168): tag characters and
variation selectors that carry text, zero-width characters, bidirectional overrides, fullwidth and
mathematical letters, lookalikes of other scripts, stacked marks, upside-down writing, letters spaced out,
digits for letters and deletion characters. Genuine text of any script stays what it is.
"""

import re
import unicodedata

from classifiers.text.lookalikes import ALIKE, DRAWN, EXACT, IN_LATIN, LEET, TURNED, TURNED_ONLY

LONGEST_WORD = 90
"""Characters; longer words are split, because a word-piece tokenizer reads over 100 as one unknown token."""

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
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+")
_LATIN = re.compile("[A-Za-z]")
_LETTERS = re.compile(r"[^\W\d_]+")
_SISTER = re.compile("[\u0370-\u03ff\u0400-\u052f\u0531-\u058f\u1f00-\u1fff]")
_SPACED = re.compile(r"(?<!\S)[^\W\d_](?:\s++[^\W\d_]){3,}(?!\S)")
_GAP = re.compile(r"\s+")
_DOTTED = re.compile(r"(?<![^\W_])[^\W\d_](?:[-._*~|/][^\W\d_]){3,}(?![^\W_])")
_DIGIT_IN_WORD = re.compile(r"[A-Za-z][013457@$!|]+[A-Za-z]")
_WORD_WITH_DIGITS = re.compile(r"[A-Za-z0-9@$!|]{4,40}")
_LEET_RUN = re.compile(r"[0-9@$!|]+")


def normalise(text: str) -> str:
    """The text as it is to be read. Idempotent; linear in the text's length; fast on plain ASCII.

    Hidden text is brought out, not dropped: what tag characters or variation selectors spell stands in the
    result as words. White space is collapsed. Case and accents stay; tokenizers differ in what they want.
    """
    for _ in range(_PASSES):
        after = _pass(text)
        if after == text:
            break
        text = after
    return text


def _pass(text: str) -> str:
    if not text.isascii():
        text = _unhide(text)
    if _CONTROL.search(text):
        text = _CONTROL.sub("", _delete(text))
    if _SPACED.search(text):
        text = _SPACED.sub(_joined, text)
    if _DOTTED.search(text):
        text = _DOTTED.sub(lambda match: match[0][::2], text)
    if _DIGIT_IN_WORD.search(text):
        text = _WORD_WITH_DIGITS.sub(_unleet, text)
    words = text.split()
    if len(text) > LONGEST_WORD and any(len(word) > LONGEST_WORD for word in words):
        words = [word[start : start + LONGEST_WORD] for word in words for start in range(0, len(word), LONGEST_WORD)]
    return " ".join(words)


def _unhide(text: str) -> str:
    text = _FLAG.sub("\U0001f3f4", text)
    text = _TAGS.sub(_untag, text)
    text = _SELECTORS.sub(_unselect, text)
    # a model reads the characters as they are stored, a person as they are shown: keep both
    text = _OVERRIDE.sub(lambda match: f" {match[1]} {match[1][::-1]} ", text)
    text = _INVISIBLE.sub("", text)
    text = unicodedata.normalize("NFKC", text)
    text = _MARKS.sub(lambda match: match[1], text)
    text = _turn(text)
    text = text.translate(DRAWN)
    return _unlike(text)


def _untag(match: re.Match[str]) -> str:
    return " " + "".join(chr(ord(char) - 0xE0000) for char in match[0] if 0xE0020 <= ord(char) < 0xE007F) + " "


def _unselect(match: re.Match[str]) -> str:
    """Each of the 256 variation selectors can carry a byte; one or two are only an emoji's style."""
    if len(match[0]) < 3:
        return ""
    points = map(ord, match[0])
    carried = bytes(point - 0xFE00 if point < 0xE0100 else point - 0xE0100 + 16 for point in points)
    return " " + carried.decode("utf-8", "ignore") + " "


def _turn(text: str) -> str:
    if len(TURNED_ONLY.intersection(text)) < 2:
        return text
    lines = []
    for line in text.split("\n"):
        turned = sum(char in TURNED_ONLY for char in line)
        letters = sum(char.isalpha() for char in line)
        lines.append(line.lower().translate(TURNED)[::-1] if turned > 1 and turned * 4 > letters else line)
    return "\n".join(lines)


def _unlike(text: str) -> str:
    if ALIKE.isdisjoint(text):
        return text
    # by itself a word of lookalikes may be genuine: then its script shows elsewhere in the text
    genuine = any(_SISTER.match(char) and char not in EXACT for char in set(text))
    latin = bool(_LATIN.search(text))

    def read(match: re.Match[str]) -> str:
        word = match[0]
        mixed = bool(_LATIN.search(word))
        posing = latin and not genuine and EXACT.issuperset(word)
        return word.translate(IN_LATIN) if mixed or posing else word

    return _LETTERS.sub(read, text)


def _joined(match: re.Match[str]) -> str:
    """Letters with gaps: the narrowest gap is within words, wider ones part them."""
    letters = _GAP.split(match[0])
    gaps = _GAP.findall(match[0])
    narrow = min(map(len, gaps))
    return letters[0] + "".join(
        letter if len(gap) == narrow else " " + letter for gap, letter in zip(gaps, letters[1:], strict=True)
    )


def _unleet(match: re.Match[str]) -> str:
    word = match[0]
    runs = _LEET_RUN.findall(word)
    letters = sum(char.isalpha() for char in word)
    inside = _DIGIT_IN_WORD.search(word)
    if len(runs) < 2 or not inside or max(map(len, runs)) > 2 or letters < sum(map(len, runs)):
        return word
    return word.translate(LEET)


def _delete(text: str) -> str:
    if "\b" not in text and "\x7f" not in text:
        return text
    kept: list[str] = []
    for char in text:
        if char not in "\b\x7f":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept)
