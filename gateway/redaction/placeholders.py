"""Passages of texts → the same texts with placeholders in their place. Pure.

Equal values of one kind get the same placeholder, numbered by their first place: [EMAIL_1]. Where a text is JSON, as a
tool call's arguments are, it is JSON after as well; so it is within the fence that models put around it.

Text that is JSON, as a whole or in the Markdown fences that models put around it. Pure.
"""

import json
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from gateway.answers.parse import unfenced

_FENCE = "```"


def is_valid_json(text: str) -> bool:
    """Whether the whole text is JSON, in a fence or without one."""
    try:
        msgspec.json.decode(unfenced(text))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def holds_json(text: str) -> bool:
    """Whether the whole text is a JSON object or list, in a fence or without one."""
    return unfenced(text).lstrip()[:1] in ("{", "[") and is_valid_json(text)


def fenced(text: str) -> list[tuple[int, int]]:
    """Where JSON stands in Markdown fences within other text, by start."""
    spans, start = [], 0
    for index, part in enumerate(text.split(_FENCE)):
        end = start + len(part)
        if index % 2 and holds_json(part.partition("\n")[2]):
            spans.append((start, end))
        start = end + len(_FENCE)
    return spans


def escaped(value: str) -> str:
    """A text as a part of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def decoded(value: str) -> str:
    """A part of a JSON string as the text that it spells."""
    try:
        return str(json.loads(f'"{value}"', strict=False))
    except ValueError:
        return value


_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*_[0-9]{1,6}\]")
_VALUE = re.compile(r"\S(?:.*\S)?", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(r'"(?P<string>(?:[^"\\]|\\.)*+)"|-?\d[\d.eE+-]*', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[^u])")
_LINE = frozenset({r"\n", r"\r", r"\t"})
"""Escapes that are white space, which is no part of a value that seems to begin or end within one."""
_BARE = re.compile(r'[^\s,:\[\]{}"]')
_NO_LETTER = re.compile(r"[^A-Z0-9]+")
_BETWEEN = re.compile(r"[\W_]+")
_GROUPED = frozenset({"card", "iban", "phone", "national_id"})
"""Kinds that are written with and without separators; in a date or an amount these count."""
_EXACT = frozenset({"secret"})
"""Kinds of which no two that differ in any way are one."""


class Unredactable(Exception):
    """What was found cannot be replaced without making the text another thing than it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedSpan:
    """A place to be replaced. start, end: characters, end exclusive; rule: by whose name; restore: whether the value
    may be put back into the answer; guessed: whether a tagger found it, and no pattern."""

    start: int
    end: int
    kind: str
    rule: str = ""
    restore: bool = False
    guessed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What stands in place of the characters start..end (exclusive)."""

    start: int
    end: int
    text: str


@dataclass(slots=True, eq=False, kw_only=True)
class Placeholders:
    """What stands for what in one request and its answer. originals: by placeholder; values: those of them that are to
    be put back."""

    originals: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _last: Counter[str] = field(default_factory=Counter)

    def see(self, text: str) -> None:
        """Placeholders that a text holds from before, for values that are not here any more, are not given again."""
        if "[" in text:
            self._taken.update(_PLACEHOLDER.findall(text))

    def of(self, kind: str, value: str, *, restore: bool = False) -> str:
        """The placeholder of a value."""
        key = kind, _same(kind, value)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._next(_NO_LETTER.sub("_", kind.upper()))
            self.originals[name] = value
        if restore:
            self.values.setdefault(name, value)
        return name

    def _next(self, kind: str) -> str:
        while True:
            self._last[kind] += 1
            name = f"[{kind}_{self._last[kind]}]"
            if name not in self._taken:
                return name


def edits(text: str, marks: Iterable[RedactedSpan], placeholders: Placeholders, *, is_json: bool = False) -> list[Edit]:
    """What to change in a text, by start. Texts are to be given in the order in which they are read.

    is_json: the text is JSON if it can be. Raises Unredactable where it would be no more. JSON in fences within other
    text stays JSON where patterns found strings and numbers in it, or parts of them.
    """
    parsed = is_json and is_valid_json(text)
    areas = _json_in(text, is_json=parsed)
    strings = [span for area in areas for span in _spans(_STRING, text, area)]
    begins = [first for first, _ in strings]
    escapes = [span for area in areas for span in _spans(_ESCAPE, text, area)]
    made: list[Edit] = []
    done = 0
    for mark in apart(text, marks, is_json=parsed):
        start, end = _whole(text, max(mark.start, done), mark.end, escapes)
        if start >= end:
            continue
        placeholders.see(text[done:start])
        value, quoted = text[start:end], False
        if _around(areas, start):
            place = bisect_left(begins, start) - 1
            quoted = place < 0 or strings[place][1] <= start
            value = value if quoted else decoded(value)
        name = placeholders.of(mark.kind, value, restore=mark.restore)
        if quoted:
            # a number, of which all goes
            while start > done and _BARE.match(text, start - 1):
                start -= 1
            while end < len(text) and _BARE.match(text, end):
                end += 1
            name = f'"{name}"'
        made.append(Edit(start=start, end=end, text=name))
        done = end
    placeholders.see(text[done:])
    if parsed and made and not is_valid_json(replace_spans(text, made)):
        raise Unredactable
    return made


def restoring(text: str, values: Mapping[str, str], *, is_json: bool = False) -> list[Edit]:
    """What to change in a text so that values stand in place of their placeholders again."""
    if not values or "[" not in text:
        return []
    areas = _json_in(text, is_json=is_json)
    return [
        Edit(start=match.start(), end=match.end(), text=escaped(value) if _around(areas, match.start()) else value)
        for match in _PLACEHOLDER.finditer(text)
        if (value := values.get(match[0])) is not None
    ]


def _json_in(text: str, *, is_json: bool) -> list[tuple[int, int]]:
    """Where JSON is, by start, edges excluded: everywhere where the text is, otherwise in fences."""
    return [(-1, len(text))] if is_json else fenced(text)


def _spans(pattern: re.Pattern[str], text: str, area: tuple[int, int]) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text, max(0, area[0]), area[1]))


def replace_spans(text: str, made: Sequence[Edit]) -> str:
    """The text after its edits."""
    return "".join(_spread((text,), made))


def spread(pieces: Sequence[str], made: Sequence[Edit]) -> list[str]:
    """The pieces of a text after the edits of the whole; what stands instead lies where the place begins."""
    return list(_spread(pieces, made))


def _spread(pieces: Sequence[str], made: Sequence[Edit]) -> Iterator[str]:
    offset = index = 0
    for piece in pieces:
        end = offset + len(piece)
        kept: list[str] = []
        place = offset
        while index < len(made) and made[index].start < end:
            edit = made[index]
            if edit.start >= offset:
                kept += (piece[place - offset : edit.start - offset], edit.text)
            place = min(edit.end, end)
            if edit.end > end:
                break
            index += 1
        kept.append(piece[place - offset :])
        yield "".join(kept)
        offset = end


def apart(text: str, marks: Iterable[RedactedSpan], *, is_json: bool = False) -> list[RedactedSpan]:
    """By start; those that overlap become one, of the kind of the first. Placeholders are in none.

    is_json: the whole text is. Of what a tagger found in JSON, only strings and numbers, or parts of them, are marked.
    """
    held = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[" in text else []
    own = (part for mark in marks for part in _beside(text, mark, held))
    parted: list[RedactedSpan] = []
    for mark in sorted(own, key=lambda one: (one.start, -one.end)):
        if parted and mark.start < parted[-1].end:
            last = parted.pop()
            parted.append(
                RedactedSpan(
                    start=last.start,
                    end=max(last.end, mark.end),
                    kind=last.kind,
                    rule=last.rule,
                    restore=last.restore and mark.restore,
                    guessed=last.guessed and mark.guessed,
                )
            )
        else:
            parted.append(mark)
    areas = _json_in(text, is_json=is_json) if any(mark.guessed for mark in parted) else []
    return list(_within(text, parted, areas)) if areas else parted


def _within(text: str, marks: Sequence[RedactedSpan], areas: Sequence[tuple[int, int]]) -> Iterator[RedactedSpan]:
    """What marks in JSON cover of each string and number, where a tagger took their quotes or what parts them along."""
    scalars = (match for first, last in areas for match in _SCALAR.finditer(text, max(0, first), last))
    spans = [match.span("string" if match["string"] is not None else 0) for match in scalars]
    for mark in marks:
        area = _around(areas, mark.start)
        index = max(0, bisect_left(spans, (mark.start + 1,)) - 1)
        in_one = spans and spans[index][0] <= mark.start and mark.end <= spans[index][1]
        if not mark.guessed or area is None or mark.end > area[1] or in_one:
            yield mark
            continue
        while index < len(spans) and spans[index][0] < mark.end:
            first, last = spans[index]
            value = _VALUE.search(text, max(first, mark.start), max(first, min(last, mark.end)))
            if value and any(map(str.isalnum, value[0])):
                yield replace(mark, start=value.start(), end=value.end())
            index += 1


def _beside(text: str, mark: RedactedSpan, held: Sequence[tuple[int, int]]) -> Iterator[RedactedSpan]:
    """What a mark covers beside placeholders. held: those of the text, by start.

    A tagger takes them for values, in whole or in part; what it took along stays marked where it says anything. What
    a pattern finds within the form of one (`[CARD_4111_1111_1111_1111]`) is a value.
    """
    place = mark.start
    index, stop = bisect_left(held, (place,)), bisect_left(held, (mark.end,))
    if mark.guessed and index and held[index - 1][1] > place:
        index -= 1
    if not mark.guessed and index < stop and held[stop - 1][1] > mark.end:
        stop -= 1
    if index == stop:
        yield mark
        return
    for first, last in (*held[index:stop], (mark.end, mark.end)):
        value = _VALUE.search(text, place, max(place, first))
        if value and any(map(str.isalnum, value[0])):
            yield replace(mark, start=value.start(), end=value.end())
        place = last


def _whole(text: str, start: int, end: int, escapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The place start..end with the escapes that it begins or ends within, or without them where they are white
    space. escapes: spans by start."""
    first, last = _around(escapes, start), _around(escapes, end)
    if first:
        start = first[1] if text[slice(*first)] in _LINE else first[0]
    if last:
        end = last[0] if text[slice(*last)] in _LINE else last[1]
    return start, end


def _around(spans: Sequence[tuple[int, int]], place: int) -> tuple[int, int] | None:
    """The one of some spans, by start, that a place lies within, and not at the edge of."""
    index = bisect_left(spans, (place,)) - 1
    return spans[index] if index >= 0 and place < spans[index][1] else None


def _same(kind: str, value: str) -> str:
    if kind in _EXACT:
        return value
    plain = unicodedata.normalize("NFKC", value).casefold()
    return _BETWEEN.sub("", plain) if kind in _GROUPED else plain
