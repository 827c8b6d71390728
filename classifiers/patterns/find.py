"""A text → the places where it holds personal data that has a form. Pure, and linear in the text's length.

A text is searched in plain characters: digits, dashes and spaces of any script as ASCII, what is invisible left out,
and the escapes of JSON that was not decoded (\\u00fc, \\/) as the characters that they spell. Places are those of the
text as it was given.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from classifiers.patterns import network, numbers, phone, secret

Kind = Literal["card", "iban", "email", "phone", "national_id", "ip", "secret"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_INVISIBLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e0-\u20e3"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e001f\U000e007f-\U000e0fff]"
)
_UNSEEN = re.compile(_INVISIBLE)
_HEX = "[0-9A-Fa-f]"
# JSON within JSON doubles the backslash
_ESCAPED = rf"(?<!\\)\\+(?:/|u(?:[Dd][89ABab]{_HEX}{{2}}\\+u[Dd][C-Fc-f]|{_HEX}{{2}}){_HEX}{{2}})"
_OTHER = re.compile(rf"{_INVISIBLE}+|{_ESCAPED}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """text: as it is to be read. starts, shifts: from each of these offsets on, how much was left out before it.
    widths: how long the characters at these offsets were, where it is not one."""

    text: str
    starts: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()
    widths: Mapping[int, int] = field(default_factory=dict)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters start..end (exclusive, at least one) stand in the text as it was given."""
        return self._origin(start), self._origin(end - 1) + self.widths.get(end - 1, 1)

    def _origin(self, offset: int) -> int:
        place = bisect_right(self.starts, offset)
        return offset + (self.shifts[place - 1] if place else 0)


def plain(text: str) -> Plain:
    """Linear in the text's length; at once for ASCII without escapes."""
    if text.isascii() and "\\u" not in text and "\\/" not in text:
        return Plain(text=text)
    kept: list[str] = []
    starts: list[int] = []
    shifts: list[int] = []
    widths: dict[int, int] = {}
    done = length = 0
    for match in _OTHER.finditer(text):
        spelt = _spelt(match[0])
        kept += (text[done : match.start()], spelt)
        length += match.start() - done
        done = match.end()
        if spelt:
            widths[length] = len(match[0])
            length += 1
        starts.append(length)
        shifts.append(done - length)
    kept.append(text[done:])
    seen = "".join(kept).translate(_Alike())
    return Plain(text=seen, starts=tuple(starts), shifts=tuple(shifts), widths=widths)


def _spelt(escape: str) -> str:
    if escape[-1] == "/":
        return "/"
    units = [int(unit[:4], 16) for unit in escape.split("u")[1:]] if escape[0] == "\\" else []
    if not units:
        return ""
    high, low = units[0], units[-1]
    char = chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00 if len(units) == 2 else high)
    return "" if _UNSEEN.match(char) else char


class _Alike(dict[int, int]):
    """Character by character, so that offsets stay: full-width and mathematical forms, digits of every script,
    dashes, spaces, and the tag characters that spell what nobody sees."""

    def __missing__(self, point: int) -> int:
        self[point] = alike = point if point < 128 else _ascii(point)
        return alike


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


_FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    # where two kinds claim the same characters, the first here names them
    "secret": secret.find,
    "email": network.find_emails,
    "iban": numbers.find_ibans,
    "card": numbers.find_cards,
    "national_id": numbers.find_national,
    "ip": network.find_ips,
    "phone": phone.find,
}
_ORDER = tuple(_FINDERS)
_CHECKED: frozenset[Kind] = frozenset({"iban", "card", "national_id"})
"""Numbers with check digits."""
_NUMBERS: frozenset[Kind] = frozenset({"card", "national_id", "ip", "phone"})
"""What may be a part of one of these."""

_STEP = 1 << 15
_LOOK = 1 << 10
"""Characters; a text is read in steps, so that no search keeps others waiting, each with a look around its edges."""
_LONGEST = 1 << 14


@dataclass(frozen=True, slots=True, order=True)
class PatternMatch:
    """start, end: characters of the text as it was given, end exclusive. also: weaker kinds that were found there."""

    start: int
    end: int
    kind: Kind
    also: tuple[Kind, ...] = ()


def find(text: str, kinds: Iterable[Kind] = KINDS, between: Callable[[], None] = lambda: None) -> list[PatternMatch]:
    """What of some kinds a text holds, by start; none overlap. between: called now and then; what it raises ends the
    search."""
    wanted = [kind for kind in _ORDER if kind in set(kinds)]
    matches: list[PatternMatch] = []
    if "secret" in wanted:
        matches += [PatternMatch(start, end, "secret") for start, end in secret.blocks(text)]
    for start in range(0, len(text), _STEP):
        begin, end = max(0, start - _LOOK), _end(text, start + _STEP + _LOOK)
        step = plain(text[begin:end])
        for kind in wanted:
            between()
            for first, last in _FINDERS[kind](step.text):
                place, stop = step.origin(first, last)
                if start <= place + begin < start + _STEP:
                    matches.append(PatternMatch(place + begin, stop + begin, kind))
    return _merge_overlaps(matches)


def _end(text: str, least: int) -> int:
    """Where a step's look ahead ends: no word is cut, however long within reason."""
    if least >= len(text):
        return len(text)
    for place in range(least, min(len(text), least + _LONGEST)):
        if text[place].isspace():
            return place
    return min(len(text), least + _LONGEST)


def _merge_overlaps(matches: list[PatternMatch]) -> list[PatternMatch]:
    """Matches that overlap become one of all their kinds, which covers what any of them covers."""
    kinds: dict[tuple[int, int], set[Kind]] = {}
    for match in matches:
        kinds.setdefault((match.start, match.end), set()).add(match.kind)
    merged: list[tuple[int, int, set[Kind]]] = []
    checked = 0
    for start, end in sorted(kinds, key=lambda place: (place[0], -place[1])):
        here = kinds[start, end] if end > checked else kinds[start, end] - _NUMBERS
        if here & _CHECKED:
            checked = max(checked, end)
        if here and merged and start < merged[-1][1]:
            first, last, others = merged.pop()
            merged.append((first, max(last, end), others | here))
        elif here:
            merged.append((start, end, here))
    named = ((start, end, sorted(several, key=_ORDER.index)) for start, end, several in merged)
    return [PatternMatch(start, end, first, tuple(others)) for start, end, (first, *others) in named]
