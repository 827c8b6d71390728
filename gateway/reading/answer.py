"""The texts of an upstream's answer, whole or streamed, and where each of them stands in its bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.wire import chat, sse
from gateway.wire.rewrite import Path, rewrite

_READ: Final = frozenset({*chat.UpstreamMessage.__struct_fields__, "annotations"})
_EMPTY: Final = frozenset({b"null", b"[]", b"{}", b'""'})
_NULL: Final = b"null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a text: in which part of the answer (a whole one is one part), and where in its JSON."""

    part: int
    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text of a choice, joined over the parts of a stream. arguments: whether it is those of a call."""

    choice: int
    pieces: tuple[Piece, ...]
    arguments: bool

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer. parts: its bytes, in order; texts: none is empty; incomplete: whether something in it could not be
    read; logprobs: by choice, where they stand, since they spell the text out once more."""

    parts: tuple[bytes, ...]
    stream: bool
    texts: tuple[Text, ...]
    incomplete: bool
    logprobs: Mapping[int, Sequence[tuple[int, Path]]]

    def with_pieces(self, new: Mapping[int, Sequence[str]]) -> bytes:
        """The answer's bytes with other texts. new: by a text's index, what its pieces are to be.

        A choice that changes loses its logprobs. What does not change keeps its bytes.
        """
        changes: dict[int, dict[Path, bytes]] = {}
        for index, pieces in new.items():
            text = self.texts[index]
            for piece, changed in zip(text.pieces, pieces, strict=True):
                if changed != piece.text:
                    changes.setdefault(piece.part, {})[piece.path] = chat.encode(changed)
            for part, path in self.logprobs.get(text.choice, ()):
                changes.setdefault(part, {})[path] = _NULL
        return b"".join(self._part(part, changes.get(part)) for part in range(len(self.parts)))

    def _part(self, index: int, changes: Mapping[Path, bytes] | None) -> bytes:
        part = self.parts[index]
        if not changes:
            return part
        if not self.stream:
            return rewrite(part, changes)
        return sse.with_data(part, rewrite(sse.data_of(part) or b"", changes))


def read(body: bytes, *, stream: bool) -> Said:
    """All text of an answer's choices."""
    parts = _events(body) if stream else (body,)
    joined: dict[tuple[object, ...], list[Piece]] = {}
    logprobs: dict[int, list[tuple[int, Path]]] = {}
    incomplete = False
    for index, part in enumerate(parts):
        data = sse.data_of(part) if stream else part
        if data is None or data == b"[DONE]":
            continue
        try:
            answer, keys = chat.decode_answer(data), chat.decode_choices(data)
        except (msgspec.DecodeError, RecursionError):
            incomplete = True
            continue
        incomplete = incomplete or _holds_more(keys)
        for place, choice in enumerate(answer.choices or ()):
            number = choice.index if choice.index is not None else place
            for kind, path, text in _texts(choice):
                joined.setdefault((number, *kind), []).append(
                    Piece(part=index, path=("choices", place, *path), text=text)
                )
            if bytes((keys.choices or [])[place].logprobs) not in _EMPTY:
                logprobs.setdefault(number, []).append((index, ("choices", place, "logprobs")))
    texts = tuple(
        Text(choice=int(str(key[0])), pieces=tuple(pieces), arguments=pieces[0].path[-1] == "arguments")
        for key, pieces in joined.items()
    )
    return Said(parts=parts, stream=stream, texts=texts, incomplete=incomplete, logprobs=logprobs)


def _events(body: bytes) -> tuple[bytes, ...]:
    splitter = sse.Splitter()
    events = tuple(splitter.feed(body))
    rest = splitter.flush()
    return (*events, rest + b"\n\n") if rest.strip() else events


def _texts(choice: chat.UpstreamChoice) -> Iterator[tuple[tuple[object, ...], Path, str]]:
    """(what it is, where in the choice it stands, the text) of all that a message or delta holds."""
    holder, message = ("message", choice.message) if choice.message else ("delta", choice.delta)
    if message is None:
        return
    for name in ("content", "refusal", "reasoning_content", "reasoning"):
        text = getattr(message, name)
        if text:
            yield (name,), (holder, name), text
    for place, call in enumerate(message.tool_calls or ()):
        number = call.index if call.index is not None else place
        if call.function is not None and call.function.arguments:
            yield ("arguments", number), (holder, "tool_calls", place, "function", "arguments"), call.function.arguments
        if call.custom is not None and call.custom.input:
            yield ("custom", number), (holder, "tool_calls", place, "custom", "input"), call.custom.input
    if message.function_call is not None and message.function_call.arguments:
        yield ("function_call",), (holder, "function_call", "arguments"), message.function_call.arguments


def _holds_more(answer: chat.UpstreamChoices) -> bool:
    """Whether a message holds anything (audio, say) that is not among the fields that are read."""
    holders = [part for choice in answer.choices or () for part in (choice.message, choice.delta) if part]
    return any(key not in _READ and bytes(value) not in _EMPTY for part in holders for key, value in part.items())
