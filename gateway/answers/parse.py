"""An upstream's answer, parsed once: its choices, its texts and their places in its bytes, the label that it names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import msgspec

from gateway.protocols import sse
from gateway.protocols.json import Path, encode, leaves, rewrite
from gateway.protocols.wire import ChoicePart, Kind, Meta, Wire
from gateway.spelling import LabelNames

_Key = tuple[int, str, Kind]
"""Identifies a text: its choice, its holder, its kind."""
_Repeats = dict[int, list[tuple[int, Path, _Key | None]]]
"""By choice: the part and the path of a value, and the text that it repeats where that is one text."""


class CompletionChoice(msgspec.Struct):
    """One choice of an answer, joined over a stream's events. calls: name and arguments of each function by index."""

    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: dict[int, tuple[str, str]] = {}

    def add(self, part: ChoicePart) -> None:
        """Appends what one event, or a whole answer, has of this choice."""
        self.finish = part.finish or self.finish
        self.content += part.content
        self.refused = self.refused or part.refused
        for index, named, more in part.calls:
            name, arguments = self.calls.get(index, ("", ""))
            self.calls[index] = (name or named, arguments + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A piece of a text. part: index of the answer's part that holds it; path: its place in the part's JSON."""

    part: int
    path: Path
    text: str
    arguments: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceText:
    """One text of a choice, joined over the parts of a stream. arguments: whether it is a call's arguments. signed:
    whether the upstream takes it back only as it was. key: of the text that others may repeat; None of one that says
    more."""

    choice: int
    pieces: tuple[TextPiece, ...]
    arguments: bool
    signed: bool = False
    key: "_Key | None" = None

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)


class Completion:
    """An upstream's answer, whole or all events of a stream. Each property is parsed at its first use, and kept. body:
    its bytes, in the wire format. stream: whether they are events."""

    def __init__(self, body: bytes, wire: Wire, *, stream: bool) -> None:
        self.body = body
        self.stream = stream
        self._wire = wire
        self._reader = wire.answers

    @cached_property
    def meta(self) -> Meta:
        """The model and the usage, a stream's last ones. Raises msgspec.DecodeError and RecursionError."""
        if not self.stream:
            return self._reader.meta(self.body)
        meta = Meta()
        for data in self._data:
            meta = meta if data is None else meta.then(self._reader.meta(data))
        return meta

    @cached_property
    def choices(self) -> tuple[CompletionChoice, ...]:
        """All choices. Raises msgspec.DecodeError and RecursionError where a part is no answer."""
        choices: dict[int, CompletionChoice] = {}
        for data in self._data:
            for part in () if data is None else self._reader.choices(data, stream=self.stream):
                choices.setdefault(part.index, CompletionChoice()).add(part)
        return tuple(choices.values())

    def with_pieces(self, new: Mapping[int, Sequence[str]]) -> "Completion":
        """The answer with other texts; all else keeps its bytes. new: the new pieces of a text, by the text's index. A
        choice that changes loses its repeats. A piece that two texts change in two ways becomes empty."""
        texts: dict[tuple[int, Path], str] = {}
        for index, pieces in new.items():
            for piece, changed in zip(self.texts[index].pieces, pieces, strict=True):
                if changed != piece.text:
                    place = piece.part, piece.path
                    texts[place] = changed if texts.get(place, changed) == changed else ""
        changes: dict[int, dict[Path, bytes]] = {}
        for (part, path), text in texts.items():
            changes.setdefault(part, {})[path] = encode(text)
        keys = {self.texts[index].key: "".join(pieces) for index, pieces in new.items()}
        for choice in {self.texts[index].choice for index in new}:
            for part, path, key in self._reading[1].get(choice, ()):
                if key is None:
                    changes.setdefault(part, {})[path] = self._reader.blank
                elif key in keys:
                    changes.setdefault(part, {})[path] = encode(keys[key])
        body = b"".join(self._rewritten(part, changes.get(index)) for index, part in enumerate(self._parts))
        return Completion(body, self._wire, stream=self.stream)

    def _rewritten(self, part: bytes, changes: Mapping[Path, bytes] | None) -> bytes:
        if not changes:
            return part
        if not self.stream:
            return rewrite(part, changes)
        return sse.with_data(part, rewrite(sse.data_of(part) or b"", changes))

    @cached_property
    def _parts(self) -> tuple[bytes, ...]:
        if not self.stream:
            return (self.body,)
        splitter = sse.Splitter()
        events = tuple(splitter.feed(self.body))
        rest = splitter.flush()
        return (*events, rest + b"\n\n") if rest.strip() else events

    @cached_property
    def _data(self) -> tuple[bytes | None, ...]:
        """The JSON of each part; None of a comment and of the event that ends a stream."""
        if not self.stream:
            return self._parts
        return tuple(None if data in (None, b"", b"[DONE]") else data for data in map(sse.data_of, self._parts))

    @property
    def texts(self) -> tuple[ChoiceText, ...]:
        """All texts of its choices, none of them empty. A message's piece may be in several texts."""
        return self._reading[0]

    @property
    def incomplete(self) -> bool:
        """Whether something in it could not be read."""
        return self._reading[2]

    @cached_property
    def _reading(self) -> "tuple[tuple[ChoiceText, ...], _Repeats, bool]":
        """The texts; part and path of each value that spells a choice's text out again (logprobs, messages beside
        deltas); whether something could not be read."""
        pieces: dict[_Key, list[TextPiece]] = {}
        repeats: _Repeats = {}
        incomplete = False
        for index, data in enumerate(self._data):
            if data is None:
                continue
            try:
                found = self._reader.texts(data, index)
            except (msgspec.DecodeError, RecursionError):
                incomplete = True
                continue
            incomplete = incomplete or found.incomplete
            for item in found.items:
                flags = {"arguments": item.arguments, "signed": item.signed}
                piece = TextPiece(part=index, path=item.path, text=item.text, **flags)
                pieces.setdefault((item.choice, item.holder, item.kind), []).append(piece)
            for number, path in found.repeats:
                repeats.setdefault(number, []).append((index, path, None))
        texts = _joined(pieces, repeats, self._reader.holders[self.stream], rewrites=self._reader.rewrites_repeats)
        return tuple(texts), repeats, incomplete


def unfenced(text: str) -> str:
    """JSON without the Markdown fence that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.strip("`").removeprefix("json")
    return text


def label_in(completion: Completion, names: LabelNames, at: Sequence[str] | None = None) -> str | None:
    """The only label that the choices name, as a text of its own or as strings in JSON; None for none or several. at:
    the names of properties that lead to it in JSON, from the outermost in; None for wherever it stands."""
    try:
        choices = completion.choices
    except (msgspec.DecodeError, RecursionError):
        return None
    texts = (text for choice in choices for text in (choice.content, *(call[1] for call in choice.calls.values())))
    labels = {names.resolve(word) for text in texts for word in _words(text, at)} - {None}
    return labels.pop() if len(labels) == 1 else None


def _words(text: str, at: Sequence[str] | None) -> Iterator[str]:
    """The strings in a text's JSON, or in a part of it; a text that is no JSON as a whole."""
    try:
        value = msgspec.json.decode(unfenced(text))
    except (msgspec.DecodeError, RecursionError):
        yield text
        return
    for name in at or ():
        value = value.get(name) if isinstance(value, dict) else None
    yield from (leaf for leaf in leaves(value) if isinstance(leaf, str))


def _joined(
    pieces: Mapping[_Key, list[TextPiece]], repeats: _Repeats, first: str, *, rewrites: bool
) -> Iterator[ChoiceText]:
    """The texts of the holder `first`, then those of other holders that say more. Pieces of other holders beside a text
    of `first` are added to the repeats: all of them, or where `rewrites` those that say no more, with that text."""
    for (number, holder, kind), own in pieces.items():
        if holder == first:
            yield _text(number, own, (number, holder, kind))
    for (number, holder, kind), others in pieces.items():
        if holder == first:
            continue
        text = "".join(piece.text for piece in pieces.get((number, first, kind), ()))
        repeated = _repeats(others, text)
        if not repeated:
            yield from (_text(number, run) for run in _runs(others))
        if text and (repeated or not rewrites):
            key = (number, first, kind) if rewrites else None
            repeats.setdefault(number, []).extend((piece.part, piece.path, key) for piece in others)


def _text(choice: int, pieces: Sequence[TextPiece], key: _Key | None = None) -> ChoiceText:
    first = pieces[0]
    return ChoiceText(choice=choice, pieces=tuple(pieces), arguments=first.arguments, signed=first.signed, key=key)


def _repeats(pieces: Sequence[TextPiece], text: str) -> bool:
    """Whether pieces say no more than a text: joined they are it, or each is its beginning or all of it."""
    if not text:
        return False
    each = all(text.startswith(piece.text) or piece.text.strip() == text.strip() for piece in pieces)
    return each or "".join(piece.text for piece in pieces) == text


def _runs(pieces: list[TextPiece]) -> list[list[TextPiece]]:
    """Groups pieces into texts: one for all, or one each where every piece begins with the one before it. A last piece
    that repeats all others is a text of its own."""
    if all(later.text.startswith(piece.text) for piece, later in pairwise(pieces)):
        return [[piece] for piece in pieces]
    whole = "".join(piece.text for piece in pieces[:-1]).strip()
    return [pieces[:-1], pieces[-1:]] if len(pieces) > 2 and pieces[-1].text.strip() == whole else [pieces]
