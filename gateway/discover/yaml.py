"""Text as a scalar of YAML that this project's reader reads back as it was. Pure."""

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_NOTHING: Final = frozenset({"null", "Null", "NULL"})
_NAMED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_VARIABLE: Final = "${"


def scalar(text: str) -> str:
    """A word as it stands, any other text in double quotes. `unwritable` texts cannot be values."""
    if _PLAIN.fullmatch(text) and text not in _NOTHING:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def unwritable(text: str) -> bool:
    """Whether the reader would refuse the text, or put a variable of the environment into it."""
    return _VARIABLE in text or "\0" in text


def _escaped(letter: str) -> str:
    if letter in _NAMED:
        return _NAMED[letter]
    if letter == " " or (letter.isprintable() and letter != "\ufeff"):
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
