"""A text as patterns read it: digits, dashes and spaces of any script as ASCII, what is invisible left out.

Offsets into it can be turned back into offsets of the text as it was given.
"""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e0-\u20e3"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e001f\U000e007f-\U000e0fff]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """text: as it is to be read. starts, shifts: from each of these offsets on, how much was left out before it."""

    text: str
    starts: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters start..end (exclusive, at least one) stand in the text as it was given."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, offset: int) -> int:
        place = bisect_right(self.starts, offset)
        return offset + (self.shifts[place - 1] if place else 0)


def plain(text: str) -> Plain:
    """Linear in the text's length; at once for ASCII."""
    if text.isascii():
        return Plain(text=text)
    kept: list[str] = []
    starts: list[int] = []
    shifts: list[int] = []
    done = length = 0
    for match in _INVISIBLE.finditer(text):
        kept.append(text[done : match.start()])
        length += match.start() - done
        done = match.end()
        starts.append(length)
        shifts.append(done - length)
    kept.append(text[done:])
    return Plain(text="".join(kept).translate(_Alike()), starts=tuple(starts), shifts=tuple(shifts))


class _Alike(dict[int, int]):
    """Character by character, so that offsets stay: full-width and mathematical forms, digits of every script,
    dashes, spaces, and the tag characters that spell what nobody sees."""

    def __missing__(self, point: int) -> int:
        self[point] = found = point if point < 128 else _ascii(point)
        return found


def _ascii(point: int) -> int:
    if 0xE0020 <= point < 0xE007F:
        return point - 0xE0000
    char = chr(point)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return ord("0") + digit
    category = unicodedata.category(char)
    if category == "Pd" or char in "\u2212\u00b7\u2022":
        return ord("-")
    if category in ("Zs", "Zl", "Zp"):
        return ord(" ")
    usual = unicodedata.normalize("NFKC", char)
    return ord(usual) if len(usual) == 1 else point
