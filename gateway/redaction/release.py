"""What of a stream may pass before its end: each sentence once it has been read with the one before it. Pure.

A number, an address or a placeholder at the end of what was read waits for the words behind it: patterns may need them.
What must be read as a whole (arguments of functions, JSON, a private key) waits for its own end.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from classifiers.patterns import secret
from gateway.protocols import sse
from gateway.protocols.json import Path, encode, rewrite
from gateway.protocols.wire import AnswerReader, Kind, TextItem, TextItems
from gateway.redaction.placeholders import Edit, moved, spread

_LONGEST: Final = 300
_SHORTEST: Final = 20
"""Characters of a sentence; a shorter one is read with the next."""
_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]*_`]*\s+|[。！？]+[”’」』）]*\s*(?=[^\x00-\x7f]|\s)|\n\s*")
_SPACE: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"\S+")
_FORM: Final = re.compile(r"[\d@%&\[\](){}<>＠［］（）｛｝＜＞]")
"""Signs of what patterns find with spaces in it."""
_FORM_CHARS: Final = 160
"""More than any number has that patterns find, with its gaps."""
_BEHIND_CHARS: Final = 32
"""Within which behind a number a word may stand that says what it is."""
_BEFORE_CHARS: Final = 64
"""The same before a number."""
_SHORT_WORD: Final = 6
"""Characters of a group of letters at the front of a number, such as an IBAN."""
_JSON: Final = re.compile(r"\s*(?:\{|\[\s*[\[{\"\dtfn\]-])")
_HEADER: Final = re.compile(r"-----BEGIN [A-Z ]{0,44}-{0,5}\Z")
_FENCE: Final = "```"


def sentence_end(text: str, start: int) -> int | None:
    """Where the sentence ends that begins at a place; None where its end has not come. A long one ends at white
    space."""
    end = next((match.end() for match in [_END.search(text, start + _SHORTEST, start + _LONGEST)] if match), None)
    if end is None and len(text) >= start + _LONGEST:
        behind = _SPACE.search(text, start + _LONGEST)
        spaces = [match.end() for match in _SPACE.finditer(text, start + 1, start + _LONGEST)]
        end = spaces[-1] if spaces else behind.end() if behind else None
    for first, last in () if end is None else _wholes(text):
        if end is not None and first < end < last:
            end = last if last <= len(text) else first if first > start else None
    return end


def _wholes(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a text that are read as a whole: JSON, in a fence or not, and private keys. One that has not ended
    yet ends beyond the text."""
    beyond = len(text) + 1
    if _JSON.match(text):
        yield 0, beyond
    start, parts = 0, text.split(_FENCE) if _FENCE in text else []
    for index, part in enumerate(parts):
        body = part.partition("\n")[2]
        if index % 2 and (_JSON.match(body) or not body.strip()):
            closed = index < len(parts) - 1
            yield start - len(_FENCE), start + len(part) + len(_FENCE) if closed else beyond
        start += len(part) + len(_FENCE)
    if "-----BEGIN " in text:
        yield from ((first, last if last < len(text) else beyond) for first, last in secret.blocks(text))
        yield from ((match.start(), beyond) for match in _HEADER.finditer(text))


def held_from(text: str, end: int) -> int:
    """From where on a text that was read up to `end` waits: what begins there may be a part of a match with what comes
    behind it."""
    words = list(_WORD.finditer(text, max(0, end - _FORM_CHARS), end))
    first, reach = len(words), end
    for place in range(len(words) - 1, -1, -1):
        if reach - words[place].end() > _BEHIND_CHARS:
            break
        if _FORM.search(words[place][0]):
            first, reach = place, words[place].start()
    if first == len(words):
        return end
    for word in reversed(words[max(0, first - 2) : first]):
        if len(word[0]) > _SHORT_WORD:
            break
        first -= 1
    return words[first].start()


@dataclass(kw_only=True, slots=True)
class StreamText:
    """One text of a stream. ends: of its sentences that were read; passed: how much of it may leave, after `edits`.
    whole: whether it is read as a whole; ended: whether no more of it comes. arguments: whether it is a function's;
    signed: whether nothing is put back into it. patterns: whether some are sought in it."""

    text: str = ""
    ends: list[int] = field(default_factory=lambda: [0])
    passed: int = 0
    edits: list[Edit] = field(default_factory=list)
    whole: bool = False
    ended: bool = False
    arguments: bool = False
    signed: bool = False
    patterns: bool = True

    def due(self) -> tuple[int, int] | None:
        """Start and end of what is to be read next, with the sentence before it, or more."""
        end = None if self.whole else sentence_end(self.text, self.ends[-1])
        if end is None and self.ended and self.passed < len(self.text):
            end = len(self.text)
        before = bisect_right(self.ends, self.passed) - 2
        enough = bisect_right(self.ends, self.passed - _BEFORE_CHARS) - 1
        return None if end is None else (self.ends[max(0, min(before, enough))], end)

    def settle(self, end: int, edits: Sequence[Edit]) -> Sequence[Edit]:
        """Lets pass what was read up to `end`. edits: of all that was read; returns those of what passes now."""
        last = self.ended and end == len(self.text)
        bound = max(self.passed, end if last or not self.patterns else held_from(self.text, end))
        bound = max(self.passed, min([bound, *(edit.start for edit in edits if edit.start < bound < edit.end)]))
        fresh = [edit._replace(start=max(edit.start, self.passed)) for edit in edits if self.passed < edit.end <= bound]
        self.edits += fresh
        self.ends.append(end)
        self.passed = bound
        return fresh

    def piece(self, start: int, end: int) -> str:
        """A piece after the edits."""
        own = [edit for edit in self.edits if edit.end > start and edit.start < end]
        return spread((self.text[start:end],), [moved(edit, -start) for edit in own])[0]


_Place = tuple[Path, StreamText, int, int]
"""Where an event has a piece of a text: its path, the text, the piece's start and end."""


@dataclass(kw_only=True, slots=True)
class _Event:
    data: bytes
    places: Sequence[_Place] = ()
    repeats: Sequence[tuple[Path, StreamText]] = ()
    blanks: Sequence[Path] = ()
    unread: bool = False
    closes: bool = False

    def may_leave(self) -> bool:
        read = all(end <= text.passed for _, text, _, end in self.places)
        return read and all(text.ended and text.passed == len(text.text) for _, text in self.repeats)

    def has_text(self) -> bool:
        return bool(self.repeats) or any(start < end for _, _, start, end in self.places)


@dataclass(kw_only=True, slots=True)
class Part:
    """What is to be read next of a stream's text: the characters start..end. cut: something of the stream cannot be
    read."""

    source: StreamText
    start: int
    end: int
    cut: bool

    @property
    def text(self) -> str:
        """Its characters."""
        return self.source.text[self.start : self.end]

    @property
    def before(self) -> str:
        """What makes of the fences in it what they are in the whole text."""
        return f"{_FENCE}\nx " if self.source.text.count(_FENCE, 0, self.start) % 2 else ""


class ReleasedEvents:
    """The events of one stream, of one choice: which wait, what is to be read next, which may leave, and how. patterns:
    whether some are sought in its texts."""

    def __init__(self, reader: AnswerReader, *, patterns: bool = True) -> None:
        self._reader = reader
        self._patterns = patterns
        self._texts: dict[tuple[int, str, Kind], StreamText] = {}
        self._latest: StreamText | None = None
        self._waiting: deque[_Event] = deque()
        self._next: list[_Event] = []
        self._number = 0
        self._finished = self._unread = self._read_all = False

    def add(self, event: bytes) -> None:
        """Takes the next event."""
        data, self._number = sse.data_of(event), self._number + 1
        taken = _Event(data=event)
        self._waiting.append(taken)
        if data in (None, b"", b"[DONE]"):
            return
        try:
            found = self._reader.texts(data, self._number)
        except (msgspec.DecodeError, RecursionError):
            found = TextItems(incomplete=True)
        taken.unread, taken.closes = found.incomplete, found.closes
        self._unread = self._unread or found.incomplete
        taken.blanks = [path for _, path in found.repeats]
        for item in found.items:
            repeated = self._texts.get((item.choice, self._reader.holders[1], item.kind))
            if item.holder != self._reader.holders[1] and repeated and repeated.text == item.text:
                repeated.ended = True
                taken.repeats = [*taken.repeats, (item.path, repeated)]
            else:
                taken.places = [*taken.places, self._place_of(item)]

    def _place_of(self, item: TextItem) -> _Place:
        """Adds an item to its text. Where another text begins, the one before it has ended; one that goes on later is
        read as a whole from there on."""
        key = (item.choice, item.holder, item.kind)
        whole, patterns = item.arguments, self._patterns
        new = StreamText(whole=whole, arguments=item.arguments, signed=item.signed, patterns=patterns)
        text = self._texts.setdefault(key, new)
        text.whole = text.whole or text.ended or item.holder != self._reader.holders[1]
        text.ended = False
        if self._latest is not None and self._latest is not text:
            self._latest.ended = not self._latest.whole
        self._latest = text
        start = len(text.text)
        text.text += item.text
        return item.path, text, start, len(text.text)

    def finish(self, rest: bytes) -> None:
        """The stream has come to its end, with what was no whole event."""
        if rest:
            self.add(rest)
        self._finished = True
        while self._next:
            self._waiting.appendleft(self._next.pop())
        for text in self._texts.values():
            text.ended = True

    def due(self) -> Part | None:
        """What is to be read next."""
        for text in self._texts.values():
            place = text.due()
            if place is not None:
                return Part(source=text, start=place[0], end=place[1], cut=self._unread)
        if self._finished and self._unread and not self._read_all:
            self._read_all = True
            return Part(source=StreamText(ended=True), start=0, end=0, cut=True)
        return None

    def leaving(self) -> Iterator[bytes]:
        """The events that may leave now, after their edits. None leaves before the first text, and none without text
        before the next that has some: what opens a call may not stay without its arguments where a rule blocks them.
        What closes a text leaves behind it."""
        if not (self._finished or any(text.passed for text in self._texts.values())):
            return
        while self._waiting and (self._finished or not self._waiting[0].unread) and self._waiting[0].may_leave():
            self._next.append(self._waiting.popleft())
            last = self._next[-1]
            if last.has_text() or last.closes or (self._finished and not self._waiting):
                yield from map(self._edited, self._next)
                self._next.clear()

    def _edited(self, event: _Event) -> bytes:
        pairs = [(path, text.text[first:last], text.piece(first, last)) for path, text, first, last in event.places]
        changes = {path: encode(now) for path, before, now in pairs if now != before}
        for path, text in event.repeats:
            if text.edits:
                now = encode(text.piece(0, len(text.text)))
                changes[path] = now if self._reader.rewrites_repeats else self._reader.blank
        if any(text.edits for text in self._texts.values()):
            changes |= dict.fromkeys(event.blanks, self._reader.blank)
        return sse.with_data(event.data, rewrite(sse.data_of(event.data) or b"", changes)) if changes else event.data
