"""An upstream's answer, parsed once: its choices, its texts and their places in its bytes, the label that it names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import msgspec

from gateway.protocols import chat, sse
from gateway.protocols.json import Path, of_upstream, rewrite
from gateway.spelling import LabelNames

_READ: Final = frozenset({*chat.UpstreamMessage.__struct_fields__, "annotations"})
_NO_TEXT: Final = re.compile(r"type|(?:.*_)?id")
"""Fields of an annotation that are no text for a reader: its type, and ids that it refers to."""
_EMPTY: Final = frozenset({b"null", b"[]", b"{}", b'""'})
_NULL: Final = b"null"

_Kind = tuple[str | int, ...]
_Key = tuple[int, str, _Kind]
"""Identifies a text: its choice, `message` or `delta`, its kind."""
_Repeats = dict[int, list[tuple[int, Path]]]
"""By choice: the part and the path of a value."""
_Item = tuple[str, _Kind, Path, str]
"""`message` or `delta`, the text's kind, its path in there, the text."""


class CompletionChoice(msgspec.Struct):
    """One choice of an answer, joined over a stream's events. calls: name and arguments of each function by index."""

    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: dict[int, tuple[str, str]] = {}

    def add(self, choice: chat.UpstreamChoice, *, stream: bool) -> None:
        """Appends what one event, or a whole answer, has of this choice."""
        self.finish = choice.finish_reason or self.finish
        message = (choice.delta or choice.message) if stream else (choice.message or choice.delta)
        if message is None:
            return
        self.content += message.content or ""
        self.refused = self.refused or bool(message.refusal)
        for place, call in enumerate(message.tool_calls or ()):
            self._add_call(call.index if call.index is not None else place, call.function)
        self._add_call(0, message.function_call)

    def _add_call(self, index: int, function: chat.Function | None) -> None:
        if function is not None:
            name, arguments = self.calls.get(index, ("", ""))
            self.calls[index] = (name or function.name or "", arguments + (function.arguments or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A piece of a text. part: index of the answer's part that holds it; path: its place in the part's JSON."""

    part: int
    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceText:
    """One text of a choice, joined over the parts of a stream. arguments: whether it is a call's arguments."""

    choice: int
    pieces: tuple[TextPiece, ...]
    arguments: bool

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)


class Completion:
    """An upstream's answer, whole or all events of a stream. Each property is parsed at its first use, and kept. body:
    its bytes. stream: whether they are events."""

    def __init__(self, body: bytes, *, stream: bool) -> None:
        self.body = body
        self.stream = stream

    @cached_property
    def meta(self) -> chat.UpstreamMeta:
        """The model and the usage, a stream's last ones. Raises msgspec.DecodeError and RecursionError."""
        if not self.stream:
            return of_upstream(chat.decode_meta, self.body)
        model = usage = None
        for answer in self._readable():
            model, usage = answer.model or model, answer.usage or usage
        return chat.UpstreamMeta(model, usage)

    @cached_property
    def choices(self) -> tuple[CompletionChoice, ...]:
        """All choices. Raises msgspec.DecodeError and RecursionError where a part is no chat completion."""
        choices: dict[int, CompletionChoice] = {}
        for answer in self._readable():
            for place, choice in enumerate(answer.choices or ()):
                choices.setdefault(_number(choice, place), CompletionChoice()).add(choice, stream=self.stream)
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
            changes.setdefault(part, {})[path] = chat.encode(text)
        for choice in {self.texts[index].choice for index in new}:
            for part, path in self._reading[1].get(choice, ()):
                changes.setdefault(part, {})[path] = _NULL
        body = b"".join(self._rewritten(part, changes.get(index)) for index, part in enumerate(self._parts))
        return Completion(body, stream=self.stream)

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

    @cached_property
    def _answers(self) -> tuple[chat.UpstreamAnswer | Exception | None, ...]:
        return tuple(None if data is None else _decoded(data) for data in self._data)

    def _readable(self) -> Iterator[chat.UpstreamAnswer]:
        for answer in self._answers:
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                yield answer

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
        for index, (data, answer) in enumerate(zip(self._data, self._answers, strict=True)):
            if data is None or answer is None:
                continue
            try:
                if isinstance(answer, Exception):
                    raise answer
                keys = of_upstream(chat.decode_choices, data)
                incomplete = incomplete or _holds_more(keys)
                annotated = [list(_annotations(choice, index)) for choice in keys.choices or ()]
            except (msgspec.DecodeError, RecursionError):
                incomplete = True
                continue
            for place, choice in enumerate(answer.choices or ()):
                number = _number(choice, place)
                for holder, kind, path, text in (*_items(choice), *annotated[place]):
                    piece = TextPiece(part=index, path=("choices", place, holder, *path), text=text)
                    pieces.setdefault((number, holder, kind), []).append(piece)
                if bytes((keys.choices or [])[place].logprobs) not in _EMPTY:
                    repeats.setdefault(number, []).append((index, ("choices", place, "logprobs")))
        return tuple(_joined(pieces, repeats, "delta" if self.stream else "message")), repeats, incomplete


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
    yield from (leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _leaves(value: Any) -> Iterator[Any]:
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, list | dict):
            values += value.values() if isinstance(value, dict) else value
        else:
            yield value


def _decoded(data: bytes) -> chat.UpstreamAnswer | Exception:
    try:
        return of_upstream(chat.decode_answer, data)
    except (msgspec.DecodeError, RecursionError) as error:
        return error


def _number(choice: chat.UpstreamChoice, place: int) -> int:
    return choice.index if choice.index is not None else place


def _joined(pieces: Mapping[_Key, list[TextPiece]], repeats: _Repeats, first: str) -> Iterator[ChoiceText]:
    """The texts of the holder `first` (`message` or `delta`), then those of the other holder that say more. Pieces of
    the other holder beside a text of `first` are added to the repeats."""
    for (number, holder, _), own in pieces.items():
        if holder == first:
            yield _text(number, own)
    for (number, holder, kind), others in pieces.items():
        if holder == first:
            continue
        text = "".join(piece.text for piece in pieces.get((number, first, kind), ()))
        if not _repeats(others, text):
            yield from (_text(number, run) for run in _runs(others))
        if text:
            repeats.setdefault(number, []).extend((piece.part, piece.path) for piece in others)


def _text(choice: int, pieces: Sequence[TextPiece]) -> ChoiceText:
    return ChoiceText(choice=choice, pieces=tuple(pieces), arguments=pieces[0].path[-1] == "arguments")


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


def _items(choice: chat.UpstreamChoice) -> Iterator[_Item]:
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        if message is None:
            continue
        for name in ("content", "refusal", "reasoning_content", "reasoning"):
            if text := getattr(message, name):
                yield holder, (name,), (name,), text
        for place, call in enumerate(message.tool_calls or ()):
            number = call.index if call.index is not None else place
            if call.function is not None and call.function.arguments:
                path: Path = ("tool_calls", place, "function", "arguments")
                yield holder, ("arguments", number), path, call.function.arguments
            if call.custom is not None and call.custom.input:
                yield holder, ("custom", number), ("tool_calls", place, "custom", "input"), call.custom.input
        if message.function_call is not None and message.function_call.arguments:
            yield holder, ("function_call",), ("function_call", "arguments"), message.function_call.arguments


def _annotations(choice: chat.UpstreamKeys, part: int) -> Iterator[_Item]:
    """Every text of a choice's annotations (titles and addresses of sources, say), each by itself. Raises
    msgspec.DecodeError and RecursionError."""
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        values: list[tuple[Path, object]] = []
        if message and "annotations" in message:
            values.append((("annotations",), of_upstream(msgspec.json.decode, bytes(message["annotations"]))))
        while values:
            path, value = values.pop()
            if isinstance(value, str) and value:
                yield holder, (part, *path), path, value
            if isinstance(value, list):
                values += [((*path, place), inner) for place, inner in enumerate(value)][::-1]
            if isinstance(value, dict):
                values += [((*path, key), inner) for key, inner in value.items() if not _NO_TEXT.fullmatch(key)][::-1]


def _holds_more(answer: chat.UpstreamChoices) -> bool:
    """Whether a message has text (audio's, say) in a field that is not read. Raises msgspec.DecodeError and
    RecursionError."""
    messages = [part for choice in answer.choices or () for part in (choice.message, choice.delta) if part]
    values = (value for message in messages for key, value in message.items() if key not in _READ)
    decoded = (of_upstream(msgspec.json.decode, bytes(value)) for value in values)
    return any(isinstance(leaf, str) and leaf for value in decoded for leaf in _leaves(value))
