"""Replaces passages of texts by placeholders, and placeholders by their values. Pure.

Equal values of one kind get the same placeholder, numbered by their first place: [EMAIL_1]. A text that is JSON, as a
tool call's arguments are, stays JSON, also within the Markdown fence that models put around it.
"""

import json
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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
    """The spans of JSON in Markdown fences within other text, by start."""
    spans, start = [], 0
    for index, part in enumerate(text.split(_FENCE)):
        end = start + len(part)
        if index % 2 and holds_json(part.partition("\n")[2]):
            spans.append((start, end))
        start = end + len(_FENCE)
    return spans


def decoded(value: str) -> str:
    """The text of a part of a JSON string."""
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
"""Escapes that are white space, which is no part of a value."""
_BARE = re.compile(r'[^\s,:\[\]{}"]')
_NO_LETTER = re.compile(r"[^A-Z0-9]+")
_BETWEEN = re.compile(r"[\W_]+")
_GROUPED = frozenset({"card", "iban", "phone", "national_id"})
"""Kinds that are written with and without separators; in a date or an amount these count."""
_EXACT = frozenset({"secret"})
"""Kinds whose values are equal only if every character is."""


class Unredactable(Exception):
    """A text that is JSON would be none after its replacements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedSpan:
    """A place to be replaced. start, end: characters, end exclusive; rule: that replaces it; restore: whether the value
    may be put back into the answer; guessed: whether a tagger found it, and no pattern."""

    start: int
    end: int
    kind: str
    rule: str = ""
    restore: bool = False
    guessed: bool = False


class Edit(NamedTuple):
    """A replacement for the characters start..end (exclusive). mark: the place that it replaces."""

    start: int
    end: int
    text: str
    mark: RedactedSpan | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Placeholders:
    """The placeholders of one request and its answer. originals: values by placeholder; values: those of them that are
    to be put back. tag: part of each name, where the conversation has requests that are not seen here."""

    tag: str = ""

    originals: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _last: Counter[str] = field(default_factory=Counter)

    def reserve(self, text: str) -> None:
        """Reserves placeholders that a text already has: their values are not known here."""
        if "[" in text:
            self._taken.update(_PLACEHOLDER.findall(text))

    def placeholder(self, kind: str, value: str, *, restore: bool = False) -> str:
        key = kind, _normalised(kind, value)
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
            name = f"[{kind}_{self.tag}{self._last[kind]}]"
            if name not in self._taken:
                return name


def edits(text: str, marks: Iterable[RedactedSpan], placeholders: Placeholders, *, is_json: bool = False) -> list[Edit]:
    """The edits of a text, by start. Texts have to be given in the order in which they are read. is_json: whether the
    text has to stay JSON, if it is. Raises Unredactable where it would not. JSON in fences within other text stays JSON
    where patterns found strings and numbers in it, or parts of them."""
    parsed = is_json and is_valid_json(text)
    areas = _json_in(text, is_json=parsed)
    strings, escapes = (
        [match.span() for first, last in areas for match in pattern.finditer(text, max(0, first), last)]
        for pattern in (_STRING, _ESCAPE)
    )
    changes: list[Edit] = []
    done = 0
    for mark in merged(text, marks, is_json=parsed):
        start, end = _whole(text, max(mark.start, done), mark.end, escapes)
        if start >= end:
            continue
        placeholders.reserve(text[done:start])
        value, quoted = text[start:end], False
        if _around(areas, start):
            quoted = not _around(strings, start)
            value = value if quoted else decoded(value)
        name = placeholders.placeholder(mark.kind, value, restore=mark.restore)
        if quoted:
            # a number is replaced as a whole, by a string
            while start > done and _BARE.match(text, start - 1):
                start -= 1
            while end < len(text) and _BARE.match(text, end):
                end += 1
            name = f'"{name}"'
        changes.append(Edit(start, end, name, mark))
        done = end
    placeholders.reserve(text[done:])
    if parsed and changes and not is_valid_json(replace_spans(text, changes)):
        raise Unredactable
    return changes


def restoring(text: str, values: Mapping[str, str], *, is_json: bool = False) -> list[Edit]:
    """The edits of a text that put values back in place of their placeholders."""
    if not values or "[" not in text:
        return []
    areas, changes = _json_in(text, is_json=is_json), []
    for match in _PLACEHOLDER.finditer(text):
        if (value := values.get(match[0])) is not None:
            in_json = _around(areas, match.start()) is not None
            changes.append(Edit(*match.span(), json.dumps(value, ensure_ascii=False)[1:-1] if in_json else value))
    return changes


def _json_in(text: str, *, is_json: bool) -> list[tuple[int, int]]:
    """The spans of JSON by start, edges excluded: the whole text if it is JSON, else those in fences."""
    return [(-1, len(text))] if is_json else fenced(text)


def replace_spans(text: str, edits: Sequence[Edit]) -> str:
    """The text after its edits."""
    return spread((text,), edits)[0]


def joined(first: Sequence[Edit], second: Sequence[Edit]) -> list[Edit]:
    """Edits that do what `first` does and then `second`, of the text after it, of which none reaches over the edge of
    one of the first."""
    result: list[Edit] = []
    later, shift = list(second), 0
    for edit in first:
        start, end = edit.start + shift, edit.start + shift + len(edit.text)
        while later and later[0].start < start:
            result.append(moved(later.pop(0), -shift))
        within = [moved(each, -start) for each in later if each.start < end]
        later = later[len(within) :]
        result.append(edit._replace(text=replace_spans(edit.text, within)))
        shift = end - edit.end
    return [*result, *(moved(edit, -shift) for edit in later)]


def moved(edit: Edit, by: int) -> Edit:
    """The edit, so many characters further on."""
    return edit._replace(start=edit.start + by, end=edit.end + by)


def spread(pieces: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """The pieces of a text after the edits of the whole; a replacement goes to the piece in which its place begins."""
    changed: list[str] = []
    offset = index = 0
    for piece in pieces:
        end = offset + len(piece)
        kept: list[str] = []
        place = offset
        while index < len(edits) and edits[index].start < end:
            edit = edits[index]
            if edit.start >= offset:
                kept += (piece[place - offset : edit.start - offset], edit.text)
            place = min(edit.end, end)
            if edit.end > end:
                break
            index += 1
        kept.append(piece[place - offset :])
        changed.append("".join(kept))
        offset = end
    return changed


def merged(text: str, marks: Iterable[RedactedSpan], *, is_json: bool = False) -> list[RedactedSpan]:
    """The marks by start, those that overlap merged into one of the first one's kind, without placeholders. is_json:
    whether the whole text is. A tagger's marks in JSON are cut to its strings and numbers."""
    known = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[" in text else []
    parts = (part for mark in marks for part in _without_placeholders(text, mark, known))
    result: list[RedactedSpan] = []
    for mark in sorted(parts, key=lambda each: (each.start, -each.end)):
        if result and mark.start < result[-1].end:
            last = result[-1]
            result[-1] = replace(
                last,
                end=max(last.end, mark.end),
                restore=last.restore and mark.restore,
                guessed=last.guessed and mark.guessed,
            )
        else:
            result.append(mark)
    areas = _json_in(text, is_json=is_json) if any(mark.guessed for mark in result) else []
    return list(_within_scalars(text, result, areas)) if areas else result


def _within_scalars(
    text: str, marks: Sequence[RedactedSpan], areas: Sequence[tuple[int, int]]
) -> Iterator[RedactedSpan]:
    """Cuts a tagger's marks in JSON, which may include quotes and separators, to the strings and numbers in them."""
    scalars = (match for first, last in areas for match in _SCALAR.finditer(text, max(0, first), last))
    spans = [match.span("string" if match["string"] is not None else 0) for match in scalars]
    for mark in marks:
        area = _around(areas, mark.start)
        index = max(0, bisect_left(spans, (mark.start + 1,)) - 1)
        in_scalar = spans and spans[index][0] <= mark.start and mark.end <= spans[index][1]
        if not mark.guessed or area is None or mark.end > area[1] or in_scalar:
            yield mark
            continue
        while index < len(spans) and spans[index][0] < mark.end:
            first, last = spans[index]
            yield from _value(text, mark, max(first, mark.start), min(last, mark.end))
            index += 1


def _without_placeholders(text: str, mark: RedactedSpan, known: Sequence[tuple[int, int]]) -> Iterator[RedactedSpan]:
    """The parts of a mark that are no placeholder. known: the text's placeholders, by start. A tagger takes
    placeholders for values, in whole or in part. What a pattern finds within the form of a placeholder
    (`[CARD_4111_1111_1111_1111]`) is a value."""
    place = mark.start
    index, stop = bisect_left(known, (place,)), bisect_left(known, (mark.end,))
    if mark.guessed and index and known[index - 1][1] > place:
        index -= 1
    if not mark.guessed and index < stop and known[stop - 1][1] > mark.end:
        stop -= 1
    if index == stop:
        yield mark
        return
    for first, last in (*known[index:stop], (mark.end, mark.end)):
        yield from _value(text, mark, place, first)
        place = last


def _value(text: str, mark: RedactedSpan, start: int, end: int) -> Iterator[RedactedSpan]:
    """A part of a mark without white space around it; none where the part has no letter and no digit."""
    value = _VALUE.search(text, start, max(start, end))
    if value and any(map(str.isalnum, value[0])):
        yield replace(mark, start=value.start(), end=value.end())


def _whole(text: str, start: int, end: int, escapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Widens start..end to whole escapes at its edges, or narrows it where they are white space. escapes: by start."""
    first, last = _around(escapes, start), _around(escapes, end)
    if first:
        start = first[1] if text[slice(*first)] in _LINE else first[0]
    if last:
        end = last[0] if text[slice(*last)] in _LINE else last[1]
    return start, end


def _around(spans: Sequence[tuple[int, int]], place: int) -> tuple[int, int] | None:
    """The span, of some by start, that a place is within and not at the edge of."""
    index = bisect_left(spans, (place,)) - 1
    return spans[index] if index >= 0 and place < spans[index][1] else None


def _normalised(kind: str, value: str) -> str:
    if kind in _EXACT:
        return value
    plain = unicodedata.normalize("NFKC", value).casefold()
    return _BETWEEN.sub("", plain) if kind in _GROUPED else plain
