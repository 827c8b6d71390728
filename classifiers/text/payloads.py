"""What a message says that is written in a code which a language model reads as well. Pure.

Codes that carry text (base64, base32, hexadecimal and binary numbers, Morse, escapes) are decoded; what
decodes to no text, such as hashes, keys and pictures, stays. Letters that are shifted (rot13 and the other 24) or
written backwards are restored where that makes words, and so are words whose inner letters changed places.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import methodcaller
from urllib.parse import unquote

from classifiers.text.normalise import as_stored, unturned
from classifiers.text.windows import units

_MORSE = {
    ".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g", "....": "h", "..": "i",
    ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n", "---": "o", ".--.": "p", "--.-": "q", ".-.": "r",
    "...": "s", "-": "t", "..-": "u", "...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z", "-----": "0",
    ".----": "1", "..---": "2", "...--": "3", "....-": "4", ".....": "5", "-....": "6", "--...": "7", "---..": "8",
    "----.": "9",
}  # fmt: skip
_TOKEN = re.compile(r"\S+")


def decode(text: str) -> tuple[str, list[str]]:
    """The text with what was decoded in place of its code, and the decoded stretches."""
    decoded: list[str] = []

    def read(match: re.Match[str], decoder: Callable[[str], str]) -> str:
        plain = decoder(match[0])
        if not _is_text(plain):
            return match[0]
        decoded.append(plain)
        return plain

    for pattern, decoder in _STRETCHES:
        text = pattern.sub(partial(read, decoder=decoder), text)
    for escape, unescape in _ESCAPES:
        if len(escape.findall(text)) > 1:
            decoded += [unescape(token) for token in _TOKEN.findall(text) if len(escape.findall(token)) > 1]
            text = unescape(text)
    return text, decoded


def _is_text(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    plain = sum(char.isalnum() or char.isspace() or char in ".,;:!?'\"-()" for char in text)
    printable = text.replace("\n", "").replace("\t", "").replace("\r", "").isprintable()
    return printable and letters >= 4 and letters * 2 >= len(text) and plain * 10 >= len(text) * 8


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return ""


def _base64(stretch: str) -> str:
    # letters of one case alone are words
    if stretch.islower() or stretch.isupper():
        return ""
    code = re.sub(r"[\s=]", "", stretch).replace("-", "+").replace("_", "/")
    code = code[:-1] if len(code) % 4 == 1 else code
    try:
        return _utf8(base64.b64decode(code + "=" * (-len(code) % 4)))
    except binascii.Error:
        return ""


def _base32(stretch: str) -> str:
    code = stretch.rstrip("=")
    try:
        return _utf8(base64.b32decode(code + "=" * (-len(code) % 8)))
    except binascii.Error:
        return ""


def _numbers(base: int, digits: str) -> Callable[[str], str]:
    """Decodes numbers of a base, one a character; digits: what a number looks like."""
    number = re.compile(digits)

    def decode(stretch: str) -> str:
        values = [int(value, base) for value in number.findall(stretch)]
        return _utf8(bytes(values)) if all(value < 256 for value in values) else ""

    return decode


def _morse(stretch: str) -> str:
    words = re.split(r"\s*[/|]\s*|\s{2,}", stretch.replace("·", ".").replace("–", "-").replace("−", "-").strip())
    return " ".join("".join(_MORSE.get(letter, "") for letter in word.split()) for word in words)


def _code_point(match: re.Match[str]) -> str:
    value = int(match[1] or match[2], 16)
    return chr(value) if value < 0xD800 or 0xDFFF < value < 0x110000 else ""


_BACKSLASH = re.compile(r"\\(?:u\{?([0-9A-Fa-f]{2,6})\}?|x([0-9A-Fa-f]{2}))")

_STRETCHES: Sequence[tuple[re.Pattern[str], Callable[[str], str]]] = (
    (re.compile(r"(?<![\w+/=-])[\w+/-]{12,}={0,2}(?![\w+/=-])", re.ASCII), _base64),
    (re.compile(r"(?<![A-Z2-7])[A-Z2-7]{16,}={0,6}(?![A-Z2-7=])"), _base32),
    (
        re.compile(
            r"(?<![0-9A-Fa-f])(?:0x)?[0-9A-Fa-f]{2}(?:[\s:,-]{0,2}(?:0x)?[0-9A-Fa-f]{2}){7,}"
            r"(?:(?![0-9A-Fa-f])|(?=0x[0-9A-Fa-f]))"
        ),
        _numbers(16, r"(?!0x)[0-9A-Fa-f]{2}"),
    ),
    (re.compile(r"(?<![01])[01]{8}(?:[\s,-]{0,2}[01]{8}){3,}(?![01])"), _numbers(2, "[01]{8}")),
    (
        re.compile(
            r"(?<!\S)[.·\-–−]{1,5}(?:[ /|]{1,3}[.·\-–−]{1,5}){7,}"
            r"(?:(?!\S)|(?=[/|]{1,2} {1,2}[.·\-–−]))"
        ),
        _morse,
    ),
)
"""What encoded text looks like, and how it is decoded. Wherever a stretch could begin within another, the other may end
before: were none to end, each beginning would be tried to the end of the text."""

_ESCAPES: Sequence[tuple[re.Pattern[str], Callable[[str], str]]] = (
    (re.compile(r"%[0-9A-Fa-f]{2}"), lambda text: unquote(text, errors="ignore")),
    (re.compile(r"&#x?[0-9A-Fa-f]{1,6};"), html.unescape),
    (_BACKSLASH, lambda text: _BACKSLASH.sub(_code_point, text)),
)
"""Escapes, which stand among other text, and the text without them."""


_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHIFTS = [
    str.maketrans(_LOWER + _UPPER, _LOWER[by:] + _LOWER[:by] + _UPPER[by:] + _UPPER[:by])
    for by in (13, *range(1, 13), *range(14, 26))
]
_WORD = re.compile(r"[A-Za-z]{4,}")
_ANY_WORD = re.compile(r"[A-Za-z]{3,}")
_MOST_WORDS = 2000
"""Strange words that are tried under every shift."""

_TOGETHER, _NEAR = 3, 12
"""So many strange words among so many that become known ones show that text is shifted or reversed."""
_LEAST_PLAIN = 3
"""So many words within what is shifted that are none of it are read by themselves, too."""


def restore(text: str) -> tuple[str, ...]:
    """The text under the shift, or backwards, that makes words of its strange ones; mostly the text alone. What is
    turned is a text of its own as well, so that nothing around it waters it down, and so is what stands in it but is
    not explained by turning: nothing is hidden by strewing in words that need it."""
    words = list(_WORD.finditer(text))
    if not words:
        return (text,)
    from classifiers.text.lexicon import RANKS

    strange = [(place, word[0].lower()) for place, word in enumerate(words) if word[0].lower() not in RANKS]
    if len(strange) < 2:
        return (text,)
    few = len(strange) * 2 >= len(words)
    strange = strange[:_MOST_WORDS]
    for readings, turn in _readings([word for _, word in strange]):
        places = [place for (place, _), word in zip(strange, readings, strict=True) if word in RANKS]
        together = any(last - first < _NEAR for first, last in zip(places, places[_TOGETHER - 1 :], strict=False))
        if together or (few and len(places) == len(strange)):
            # from the first to behind the last of them, with the strange ones next to these
            start, end, near = places[0], places[-1] + 1, {place for place, _ in strange}
            while start - 1 in near:
                start -= 1
            while end in near:
                end += 1
            first, last = words[start - 1].end() if start else 0, words[end].start() if end < len(words) else len(text)
            within = text[first:last]
            turned = turn(within)
            plain = unturned(within, turn, _LEAST_PLAIN)
            around = _ANY_WORD.search(text[:first] + text[last:])
            return (
                f"{text[:first]} {turned} {text[last:]}",
                *((turned,) if around else ()),
                *((plain,) if plain else ()),
            )
    return (text,)


def _readings(strange: Sequence[str]) -> Iterator[tuple[list[str], Callable[[str], str]]]:
    """The words under each shift and backwards, and what turns a text so."""
    letters = " ".join(strange)
    for table in _SHIFTS:
        yield letters.translate(table).split(), methodcaller("translate", table)
    yield [word[::-1] for word in strange], lambda part: part[::-1]


def unscrambled(text: str) -> str:
    """The English parts of a text in which inner letters of words have changed places, with the words they were."""
    from classifiers.text.lexicon import hardly_english, unscramble

    mended = [(part, _WORD.sub(unscramble, part)) for part in units(text)]
    return "\n".join(after for part, after in mended if after != part and not hardly_english(after))


DEPTH = 2
"""Codes in codes that are followed."""


def reveal(text: str) -> tuple[str, ...]:
    """What is to be read in place of a text as it was sent: mostly that text alone.

    What is decoded stands where its code stood, since the code itself is noise to an encoder, and is a text of its
    own as well, so that nothing around it waters it down. Where characters delete or turn others, the text is read as
    it is stored, too. What scrambled words may have been is a text of its own, since a guess must not hide what was
    written. Takes time in proportion to the text; what it returns is at most six times as long.
    """
    text, hidden = decode(text)
    for _ in range(DEPTH - 1 if hidden else 0):
        text, hidden = decode(text)[0], [decode(part)[0] for part in hidden]
    alone, stored = "\n".join(hidden), as_stored(text)
    plain = restore(stored)
    mended = unscrambled(plain[0])
    return (
        *((text,) if stored != text else ()),
        *plain,
        *((alone,) if alone and alone.strip() != text.strip() else ()),
        *((mended,) if mended else ()),
    )
