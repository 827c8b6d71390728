"""Codes that carry text: base64 and base32, hexadecimal, binary and decimal numbers, Morse, escapes. Pure.

What decodes to no text is left alone: hashes, keys, numbers, pictures.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import unquote

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
    found: list[str] = []

    def read(match: re.Match[str], decoder: Callable[[str], str]) -> str:
        told = decoder(match[0])
        if not _reads(told):
            return match[0]
        found.append(told)
        return told

    for pattern, decoder in _STRETCHES:
        text = pattern.sub(partial(read, decoder=decoder), text)
    for escape, unescape in _ESCAPES:
        if len(escape.findall(text)) > 1:
            found += [unescape(token) for token in _TOKEN.findall(text) if len(escape.findall(token)) > 1]
            text = unescape(text)
    return text, found


def _reads(text: str) -> bool:
    """Whether what was decoded is text."""
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
        values = [int(found, base) for found in number.findall(stretch)]
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
    (re.compile(r"(?<![\w+/=-])[\w+/-]{60,}(?:\r?\n[\w+/-]{60,})*\r?\n[\w+/-]+={0,2}(?![\w+/=-])", re.ASCII), _base64),
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
    (re.compile(r"(?<!\d)\d{2,3}(?:[\s,;-]{1,2}\d{2,3}){7,}(?!\d)"), _numbers(10, r"\d+")),
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
