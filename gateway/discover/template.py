"""The constant part of prompts, found by alignment, and how a rule reads the varying part. Pure.

Texts from a program begin and end with the same words; texts from people do so only by chance. Texts are parted where
many of them share a long run: first in a tree of their beginnings, then of their ends, each distinct text counted once.
A short common beginning counts only before a delimiter, and where hardly any text lacks it. Log parsers mine templates
in the same way (Drain, He et al. 2017), but in prompts the varying part is long and the constant part may be pages.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Final

from gateway.requests.template import PromptTemplate

Tokens = tuple[str, ...]

LEAST: Final = 5
"""Distinct texts that a family among others needs."""

_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_DELIMITERS: Final = frozenset(':"`<>[]{}|#=')
_SENTENCE_ENDS: Final = frozenset(".?!…")
_LONG_WORDS = 10
"""Nobody writes so many words alike by chance."""
_SHORT_WORDS, _WORDS_BEFORE_DELIMITER = 6, 2
_MANY = 20
_NEARLY_ALL = 0.8
_WHOLLY = 0.95
_FEW_TEXTS = 30
"""Below so many texts, their inputs may all begin with the same words by chance."""
_GIVEN_BACK_WORDS = 3
_DEEPEST = 40
_ENDING_TOKENS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is constant in texts. Each text begins with `before` and ends with `after`, without overlap."""

    before: str = ""
    after: str = ""

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def middle(self, text: str) -> str:
        """The varying part of a text of this frame."""
        return text[len(self.before) : len(text) - len(self.after)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Texts of one template. members: their indexes. frame: may be empty. constant: all are the same text."""

    members: tuple[int, ...]
    frame: Frame
    constant: bool = False


def families(texts: Sequence[str]) -> list[Family]:
    """All texts, each in one family, the largest first. Texts that fit no template are a family without a frame."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        places[text].append(index)
    distinct = list(places)
    rows = [tuple(_TOKEN.findall(text)) for text in distinct]
    parts = [
        [distinct[index] for index in part]
        for group in _parted(rows, range(len(rows)))
        for part in _parted([row[::-1] for row in rows], group)
    ]
    made = [
        Family(
            members=tuple(sorted(place for text in part for place in places[text])),
            frame=frame_of(part),
            constant=len(part) == 1,
        )
        for part in parts
    ]
    return sorted(made, key=lambda family: (-len(family.members), family.members))


def frame_of(texts: Sequence[str]) -> Frame:
    """The frame of all texts. Fewer than two distinct texts have none."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < 2:
        return Frame()
    rows = [tuple(_TOKEN.findall(text)) for text in distinct]
    length = _common(rows, 0)
    before = rows[0][:length]
    rest = [row[length:] for row in rows]
    tail = _common([row[::-1] for row in rest], 0)
    after = rest[0][len(rest[0]) - tail :]
    few = len(distinct) < _FEW_TEXTS
    before, after = _trimmed(before, few=few), _trimmed_end(after, few=few)
    return Frame(before="".join(before), after="".join(after))


def _parted(rows: Sequence[Tokens], members: Sequence[int]) -> list[list[int]]:
    """The members by their common beginnings, last those without a common beginning."""
    members = list(members)
    if len(members) < 2 * LEAST:
        return [members] if members else []
    parts = _branches(rows, members, 0)
    left = set(members).difference(*parts)
    return [part for part in [*parts, sorted(left)] if part]


def _branches(rows: Sequence[Tokens], members: list[int], start: int, depth: int = 0) -> list[list[int]]:
    """Parts of the members, which agree up to `start`, that agree for long enough after it to be templates."""
    if depth == _DEEPEST:
        return []
    reached = start + _common([rows[member] for member in members], start)
    following: dict[str, list[int]] = defaultdict(list)
    for member in members:
        if len(rows[member]) > reached:
            following[rows[member][reached]].append(member)
    shared = _words(_ending(rows, members, reached))
    strong: list[list[int]] = []
    weak: list[list[int]] = []
    for part in following.values():
        if len(part) < LEAST:
            continue
        end = reached + _common([rows[member] for member in part], reached)
        chain = rows[part[0]][reached:end]
        inner = _branches(rows, part, end, depth + 1)
        whole = inner and sum(map(len, inner)) >= _WHOLLY * len(part)
        own = _words(chain) + _words(_ending(rows, part, end)) - shared
        if own >= _LONG_WORDS or (_is_frame(chain) and len(part) >= _MANY):
            strong += inner if whole else [part]
        elif _is_frame(chain):
            weak += inner if whole else [part]
        else:
            strong += inner
    if sum(map(len, (*strong, *weak))) >= _NEARLY_ALL * len(members):
        return [*strong, *weak]
    return strong


def _ending(rows: Sequence[Tokens], members: list[int], start: int) -> Tokens:
    """The common end of the members after `start`, as far as it matters."""
    backwards = [rows[member][max(start, len(rows[member]) - _ENDING_TOKENS) :][::-1] for member in members]
    return backwards[0][: _common(backwards, 0)]


def _common(rows: Sequence[Tokens], start: int) -> int:
    first, end = rows[0], min(map(len, rows))
    same = (i - start for i in range(start, end) if any(row[i] != first[i] for row in rows))
    return next(same, max(end - start, 0))


def _words(tokens: Tokens) -> int:
    return sum(token[0].isalnum() for token in tokens)


def _is_frame(tokens: Tokens) -> bool:
    words = _words(tokens)
    return words >= _SHORT_WORDS or (words >= _WORDS_BEFORE_DELIMITER and any(map(_delimits, tokens)))


def _delimits(token: str) -> bool:
    return token in _DELIMITERS or "\n" in token


def _trimmed(tokens: Tokens, *, few: bool) -> Tokens:
    """A beginning without what the inputs themselves may begin with. few: texts, so that chance matters."""
    if few:
        cut = next((i + 1 for i in reversed(range(len(tokens))) if _delimits(tokens[i])), 0)
        while cut < len(tokens) and tokens[cut].isspace():
            cut += 1
        if cut and _words(tokens[cut:]) <= _GIVEN_BACK_WORDS:
            tokens = tokens[:cut]
    return _if_frame(tokens)


def _trimmed_end(tokens: Tokens, *, few: bool) -> Tokens:
    """An end without what the inputs themselves may end with, a full stop above all."""
    tokens = tuple(dropwhile(_SENTENCE_ENDS.__contains__, tokens))
    cut = next((i for i, token in enumerate(tokens) if _delimits(token)), 0) if few else 0
    return _if_frame(tokens[cut:] if cut and _words(tokens[:cut]) <= _GIVEN_BACK_WORDS else tokens)


def _if_frame(tokens: Tokens) -> Tokens:
    return tokens if any(map(_delimits, tokens)) or _words(tokens) >= _WORDS_BEFORE_DELIMITER else ()


_CUT = re.compile(r"(?<=\n)|(?<=[.:] )")
_LINE_END = re.compile(r"\n|$")
_WORD = re.compile(r"\w")
_LEAST_CHARS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedReads:
    """A rule's `reads`, as in gateway.yaml. Empty, it reads the user's last turn whole. roles: of the system prompt's
    messages, where the input is in them."""

    roles: tuple[str, ...] = ()
    after: str = ""
    before: str = ""

    def __bool__(self) -> bool:
        return bool(self.after or self.before)

    @property
    def template(self) -> PromptTemplate:
        """The template as the gateway reads it."""
        return PromptTemplate(after=self.after, before=self.before)


def reads_of(frame: Frame, *, roles: tuple[str, ...] = (), others: Sequence[str] = ()) -> DraftedReads:
    """The shortest `reads` that gives the input of every text of the frame, and none of the others if possible. A text
    that begins with `frame.before` holds a tail of it there for the first time, unless the frame holds it earlier;
    likewise its end."""
    if not frame:
        return DraftedReads(roles=roles)
    candidates = [
        DraftedReads(roles=roles, after=after, before=before)
        for after in _tails(frame.before)
        for before in _heads(frame.after)
    ]
    fitting = (reads for reads in candidates if all(reads.template.input_of(text) is None for text in others))
    return next(fitting, candidates[-1])


def _tails(before: str) -> Iterator[str]:
    """Ends of `before` that occur in it only once, the shortest first, and last all of it."""
    for start in sorted({match.start() for match in _CUT.finditer(before)} - {len(before)}, reverse=True):
        tail = before[start:]
        if len(tail) >= _LEAST_CHARS and _WORD.search(tail) and before.find(tail) == start:
            yield tail
    yield before


def _heads(after: str) -> Iterator[str]:
    """Beginnings of `after` that occur in it only once, the shortest first, and last all of it."""
    for end in sorted({match.start() for match in _LINE_END.finditer(after)} - {0, len(after)}):
        head = after[:end]
        if _WORD.search(head) and after.rfind(head) == 0:
            yield head
    yield after
