"""The texts of an upstream's answer, whole or streamed, and where each of them stands in its bytes.

What a model answered, one entry for each choice, joined where it was streamed. Pure.

Which label a reference's answer names, whatever its shape. Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec

from gateway.protocols import chat, sse
from gateway.protocols.json import Path, of_upstream, rewrite
from gateway.spelling import Names


class Completion(msgspec.Struct):
    """One choice of an answer. calls: by their index, a function's name and arguments."""

    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: dict[int, tuple[str, str]] = {}


def whole(body: bytes) -> list[Completion]:
    """The choices of an answer in one piece. Raises msgspec.DecodeError."""
    said: dict[int, Completion] = {}
    _take(said, body, stream=False)
    return list(said.values())


def streamed(body: bytes) -> list[Completion]:
    """The choices of an answer's events. Raises msgspec.DecodeError."""
    said: dict[int, Completion] = {}
    for data in sse.payloads(body):
        _take(said, data, stream=True)
    return list(said.values())


def bare(text: str) -> str:
    """JSON without the fence that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.strip("`").removeprefix("json")
    return text


def _take(said: dict[int, Completion], data: bytes, *, stream: bool) -> None:
    for place, choice in enumerate(of_upstream(chat.decode_answer, data).choices or ()):
        number = choice.index if choice.index is not None else place
        one = said.setdefault(number, Completion())
        one.finish = choice.finish_reason or one.finish
        message = (choice.delta or choice.message) if stream else (choice.message or choice.delta)
        if message is None:
            continue
        one.content += message.content or ""
        one.refused = one.refused or bool(message.refusal)
        for index, call in enumerate(message.tool_calls or ()):
            if call.function is not None:
                _call(one, call.index if call.index is not None else index, call.function)
        if message.function_call is not None:
            _call(one, 0, message.function_call)


def _call(one: Completion, index: int, function: chat.Function) -> None:
    name, arguments = one.calls.get(index, ("", ""))
    one.calls[index] = (name or function.name or "", arguments + (function.arguments or ""))


def label_of(body: bytes, names: Names, *, stream: bool) -> str | None:
    """The only label that an answer's choices name, as a word of its own or as values in JSON; None where there is
    none, or several. body: of an answer, of a stream all events."""
    try:
        said = streamed(body) if stream else whole(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    texts = (text for one in said for text in (one.content, *(arguments for _, arguments in one.calls.values())))
    found = {label for text in texts for word in _words(text) if (label := names.meant(word)) is not None}
    return found.pop() if len(found) == 1 else None


def _words(text: str) -> Iterator[str]:
    """A text as a whole, or the strings in its JSON."""
    try:
        yield from _strings(msgspec.json.decode(bare(text)))
    except (msgspec.DecodeError, RecursionError):
        yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


_READ: Final = frozenset({*chat.UpstreamMessage.__struct_fields__, "annotations"})
_NO_TEXT: Final = re.compile(r"type|(?:.*_)?id")
"""Fields of an annotation that say what it is or points to, which nobody reads."""
_EMPTY: Final = frozenset({b"null", b"[]", b"{}", b'""'})
_NULL: Final = b"null"
_LONGER_THAN_TOKENS: Final = 12
"""Characters: neighbours of so many say the same again by no chance."""

_Kind = tuple[str | int, ...]
_Key = tuple[int, str, _Kind]
"""Of a text: its choice, whether a message or a delta holds it, its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A part of a text: in which part of the answer (a whole one is one part), and where in its JSON."""

    part: int
    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPart:
    """One text of a choice, joined over the parts of a stream. arguments: whether it is those of a call."""

    choice: int
    pieces: tuple[TextPiece, ...]
    arguments: bool

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerText:
    """An answer. parts: its bytes, in order; texts: none is empty; incomplete: whether something in it could not be
    read; repeats: by choice, where its text is spelled out once more (logprobs, messages beside the deltas of a
    stream). A message's piece may be in several texts, and one that stands beside deltas among the repeats as well.
    """

    parts: tuple[bytes, ...]
    stream: bool
    texts: tuple[AnswerPart, ...]
    incomplete: bool
    repeats: Mapping[int, Sequence[tuple[int, Path]]]

    def with_pieces(self, new: Mapping[int, Sequence[str]]) -> bytes:
        """The answer's bytes with other texts. new: by a text's index, what its pieces are to be.

        A choice that changes loses its repeats, and a piece that two texts change in two ways all that it says. What
        does not change keeps its bytes.
        """
        made: dict[tuple[int, Path], str] = {}
        for index, pieces in new.items():
            for piece, changed in zip(self.texts[index].pieces, pieces, strict=True):
                if changed != piece.text:
                    place = piece.part, piece.path
                    made[place] = changed if made.get(place, changed) == changed else ""
        changes: dict[int, dict[Path, bytes]] = {}
        for (part, path), text in made.items():
            changes.setdefault(part, {})[path] = chat.encode(text)
        for choice in {self.texts[index].choice for index in new}:
            for part, path in self.repeats.get(choice, ()):
                changes.setdefault(part, {})[path] = _NULL
        return b"".join(self._part(part, changes.get(part)) for part in range(len(self.parts)))

    def _part(self, index: int, changes: Mapping[Path, bytes] | None) -> bytes:
        part = self.parts[index]
        if not changes:
            return part
        if not self.stream:
            return rewrite(part, changes)
        return sse.with_data(part, rewrite(sse.data_of(part) or b"", changes))


def read(body: bytes, *, stream: bool) -> AnswerText:
    """All text of an answer's choices."""
    parts = _events(body) if stream else (body,)
    held: dict[_Key, list[TextPiece]] = {}
    repeats: dict[int, list[tuple[int, Path]]] = {}
    incomplete = False
    for index, part in enumerate(parts):
        data = sse.data_of(part) if stream else part
        if data is None or data == b"[DONE]":
            continue
        try:
            answer, keys = of_upstream(chat.decode_answer, data), of_upstream(chat.decode_choices, data)
            incomplete = incomplete or _holds_more(keys)
            annotated = [list(_annotated(choice, index)) for choice in keys.choices or ()]
        except (msgspec.DecodeError, RecursionError):
            incomplete = True
            continue
        for place, choice in enumerate(answer.choices or ()):
            number = choice.index if choice.index is not None else place
            for holder, kind, path, text in (*_said(choice), *annotated[place]):
                piece = TextPiece(part=index, path=("choices", place, holder, *path), text=text)
                held.setdefault((number, holder, kind), []).append(piece)
            if bytes((keys.choices or [])[place].logprobs) not in _EMPTY:
                repeats.setdefault(number, []).append((index, ("choices", place, "logprobs")))
    texts = tuple(_apart(held, repeats, "delta" if stream else "message"))
    return AnswerText(parts=parts, stream=stream, texts=texts, incomplete=incomplete, repeats=repeats)


def _apart(
    held: Mapping[_Key, list[TextPiece]], repeats: dict[int, list[tuple[int, Path]]], first: str
) -> Iterator[AnswerPart]:
    """The texts of what is held: of what `first` holds, then of the rest, where that does not merely say it once more.
    What stands beside `first` is put to the repeats."""
    for (number, holder, _), pieces in held.items():
        if holder == first:
            yield _text(number, pieces)
    for (number, holder, kind), pieces in held.items():
        if holder == first:
            continue
        said = "".join(piece.text for piece in held.get((number, first, kind), ()))
        if not _repeats(pieces, said):
            yield from (_text(number, text) for text in _texts_of(pieces))
        if said:
            repeats.setdefault(number, []).extend((piece.part, piece.path) for piece in pieces)


def _text(choice: int, pieces: Sequence[TextPiece]) -> AnswerPart:
    return AnswerPart(choice=choice, pieces=tuple(pieces), arguments=pieces[0].path[-1] == "arguments")


def _repeats(pieces: Sequence[TextPiece], said: str) -> bool:
    """Whether pieces say no more than what is said beside them, piece by piece, or each its beginning or all of it."""
    if not said:
        return False
    begins = all(said.startswith(piece.text) or piece.text.strip() == said.strip() for piece in pieces)
    return begins or "".join(piece.text for piece in pieces) == said


def _texts_of(pieces: list[TextPiece]) -> list[list[TextPiece]]:
    """The texts that pieces make: each its own where each begins with the one before it, all of them one otherwise,
    without a last one that says all once more.

    Where only some say once more what others said, clients may read each by itself or all as one: those that do are
    texts, what lies between them is, and all of them as one. Tokens that happen to be alike do not count.
    """
    if all(later.text.startswith(piece.text) for piece, later in pairwise(pieces)):
        return [[piece] for piece in pieces]
    told = [piece.text.strip() for piece in pieces]
    if len(pieces) > 2 and told[-1] == "".join(piece.text for piece in pieces[:-1]).strip():
        return [pieces[:-1], pieces[-1:]]
    alike = [bool(one and other) and (one.startswith(other) or other.startswith(one)) for one, other in pairwise(told)]
    if not all(alike):
        long = [len(text) >= _LONGER_THAN_TOKENS for text in told]
        alike = [same and one and other for same, (one, other) in zip(alike, pairwise(long), strict=True)]
    parted: list[list[TextPiece]] = [[]]
    for place, piece in enumerate(pieces):
        if any(alike[max(0, place - 1) : place + 1]):
            parted += [[piece], []]
        else:
            parted[-1].append(piece)
    runs = [run for run in parted if run]
    return [*runs, pieces] if len(runs) > 1 else runs


def _events(body: bytes) -> tuple[bytes, ...]:
    splitter = sse.Splitter()
    events = tuple(splitter.feed(body))
    rest = splitter.flush()
    return (*events, rest + b"\n\n") if rest.strip() else events


def _said(choice: chat.UpstreamChoice) -> Iterator[tuple[str, _Kind, Path, str]]:
    """(message or delta, then as `_texts` has it) of all that a choice holds."""
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        if message is not None:
            yield from ((holder, *text) for text in _texts(message))


def _texts(message: chat.UpstreamMessage) -> Iterator[tuple[_Kind, Path, str]]:
    """(what it is, where in the message or delta it stands, the text) of all that it holds."""
    for name in ("content", "refusal", "reasoning_content", "reasoning"):
        text = getattr(message, name)
        if text:
            yield (name,), (name,), text
    for place, call in enumerate(message.tool_calls or ()):
        number = call.index if call.index is not None else place
        if call.function is not None and call.function.arguments:
            yield ("arguments", number), ("tool_calls", place, "function", "arguments"), call.function.arguments
        if call.custom is not None and call.custom.input:
            yield ("custom", number), ("tool_calls", place, "custom", "input"), call.custom.input
    if message.function_call is not None and message.function_call.arguments:
        yield ("function_call",), ("function_call", "arguments"), message.function_call.arguments


def _annotated(choice: chat.UpstreamKeys, part: int) -> Iterator[tuple[str, _Kind, Path, str]]:
    """As `_said` has it, each text of a choice's annotations (titles and addresses of what is cited, say), every one
    by itself. Raises msgspec.DecodeError and RecursionError."""
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        left: list[tuple[Path, object]] = []
        if message and "annotations" in message:
            left.append((("annotations",), of_upstream(msgspec.json.decode, bytes(message["annotations"]))))
        while left:
            path, one = left.pop()
            if isinstance(one, str) and one:
                yield holder, (part, *path), path, one
            if isinstance(one, list):
                left += [((*path, place), inner) for place, inner in enumerate(one)][::-1]
            if isinstance(one, dict):
                left += [((*path, key), inner) for key, inner in one.items() if not _NO_TEXT.fullmatch(key)][::-1]


def _holds_more(answer: chat.UpstreamChoices) -> bool:
    """Whether a message holds text (audio's, say) that is not among the fields that are read."""
    holders = [part for choice in answer.choices or () for part in (choice.message, choice.delta) if part]
    return any(key not in _READ and _says(value) for part in holders for key, value in part.items())


def _says(value: msgspec.Raw) -> bool:
    """Whether there is text in it, however deep. Raises msgspec.DecodeError and RecursionError."""
    left = [of_upstream(msgspec.json.decode, bytes(value))]
    while left:
        one = left.pop()
        if isinstance(one, str) and one:
            return True
        if isinstance(one, list | dict):
            left += one.values() if isinstance(one, dict) else one
    return False
