"""The texts of an upstream's answer, whole or streamed, and where each of them stands in its bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec

from gateway.wire import chat, sse
from gateway.wire.rewrite import Path, rewrite

_READ: Final = frozenset({*chat.UpstreamMessage.__struct_fields__, "annotations"})
_EMPTY: Final = frozenset({b"null", b"[]", b"{}", b'""'})
_NULL: Final = b"null"

_Kind = tuple[str | int, ...]
_Key = tuple[int, str, int | None, _Kind]
"""Of a text: its choice, whether a message or a delta holds it, the part if that stands beside the other, its kind."""


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
    read; repeats: by choice, where its text is spelled out once more (logprobs, what a chunk holds beside its delta).
    """

    parts: tuple[bytes, ...]
    stream: bool
    texts: tuple[Text, ...]
    incomplete: bool
    repeats: Mapping[int, Sequence[tuple[int, Path]]]

    def with_pieces(self, new: Mapping[int, Sequence[str]]) -> bytes:
        """The answer's bytes with other texts. new: by a text's index, what its pieces are to be.

        A choice that changes loses its repeats. What does not change keeps its bytes.
        """
        changes: dict[int, dict[Path, bytes]] = {}
        for index, pieces in new.items():
            text = self.texts[index]
            for piece, changed in zip(text.pieces, pieces, strict=True):
                if changed != piece.text:
                    changes.setdefault(piece.part, {})[piece.path] = chat.encode(changed)
            for part, path in self.repeats.get(text.choice, ()):
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
    joined: dict[_Key, list[Piece]] = {}
    repeats: dict[int, list[tuple[int, Path]]] = {}
    incomplete = False
    for index, part in enumerate(parts):
        data = sse.data_of(part) if stream else part
        if data is None or data == b"[DONE]":
            continue
        try:
            answer, keys = chat.decode_answer(data), chat.decode_choices(data)
            incomplete = incomplete or _holds_more(keys)
        except (msgspec.DecodeError, RecursionError):
            incomplete = True
            continue
        for place, choice in enumerate(answer.choices or ()):
            number = choice.index if choice.index is not None else place
            for beside, (holder, message) in enumerate(_holders(choice, stream=stream)):
                for kind, path, text in _texts(message):
                    joined.setdefault((number, holder, index if beside else None, kind), []).append(
                        Piece(part=index, path=("choices", place, holder, *path), text=text)
                    )
            if bytes((keys.choices or [])[place].logprobs) not in _EMPTY:
                repeats.setdefault(number, []).append((index, ("choices", place, "logprobs")))
    _join_alone(joined, "delta" if stream else "message")
    repeating = _repeating(joined, "delta" if stream else "message")
    for key in repeating:
        repeats.setdefault(key[0], []).extend((piece.part, piece.path) for piece in joined[key])
    texts = tuple(
        Text(choice=key[0], pieces=tuple(pieces), arguments=pieces[0].path[-1] == "arguments")
        for key, pieces in joined.items()
        if key not in repeating
    )
    return Said(parts=parts, stream=stream, texts=texts, incomplete=incomplete, repeats=repeats)


def _join_alone(joined: dict[_Key, list[Piece]], first: str) -> None:
    """What stands beside `first`, where that says nothing: one text over all parts, in their order, or several where
    parts say once more what those before them said."""
    alone: dict[tuple[int, str, _Kind], list[Piece]] = {}
    for key in [key for key in joined if key[1] != first and (key[0], first, None, key[3]) not in joined]:
        alone.setdefault((key[0], key[1], key[3]), []).extend(joined.pop(key))
    for (number, holder, kind), pieces in alone.items():
        for text in _texts_of(sorted(pieces, key=lambda piece: piece.part)):
            joined[number, holder, text[0].part, kind] = text


def _texts_of(pieces: list[Piece]) -> list[list[Piece]]:
    """The texts that pieces make: each its own where each begins with the one before it, all of them one otherwise,
    without a last one that says all once more."""
    if all(later.text.startswith(piece.text) for piece, later in pairwise(pieces)):
        return [[piece] for piece in pieces]
    if pieces[-1].text == "".join(piece.text for piece in pieces[:-1]):
        return [pieces[:-1], pieces[-1:]]
    return [pieces]


def _repeating(joined: Mapping[_Key, Sequence[Piece]], first: str) -> set[_Key]:
    """The texts that say the beginning, or all, of another once more beside it, or by its parts. first: what holds
    that."""
    whole = {key: "".join(piece.text for piece in pieces) for key, pieces in joined.items()}
    parts: dict[_Key, str] = {}
    for (number, holder, beside, kind), text in whole.items():
        if beside is not None:
            parts[number, holder, None, kind] = parts.get((number, holder, None, kind), "") + text
    return {
        (number, holder, beside, kind)
        for (number, holder, beside, kind), text in whole.items()
        if beside is not None
        and (said := whole.get((number, first, None, kind))) is not None
        and (said.startswith(text) or parts[number, holder, None, kind] == said)
    }


def _events(body: bytes) -> tuple[bytes, ...]:
    splitter = sse.Splitter()
    events = tuple(splitter.feed(body))
    rest = splitter.flush()
    return (*events, rest + b"\n\n") if rest.strip() else events


def _holders(choice: chat.UpstreamChoice, *, stream: bool) -> list[tuple[str, chat.UpstreamMessage]]:
    """What a choice holds by its name: first what clients read, which of a stream is the delta."""
    both = [("message", choice.message), ("delta", choice.delta)]
    return [(name, held) for name, held in (reversed(both) if stream else both) if held is not None]


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


def _holds_more(answer: chat.UpstreamChoices) -> bool:
    """Whether a message holds text (audio's, say) that is not among the fields that are read."""
    holders = [part for choice in answer.choices or () for part in (choice.message, choice.delta) if part]
    return any(key not in _READ and _says(value) for part in holders for key, value in part.items())


def _says(value: msgspec.Raw) -> bool:
    """Whether there is text in it, however deep. Raises msgspec.DecodeError and RecursionError."""
    left = [msgspec.json.decode(value)]
    while left:
        one = left.pop()
        if isinstance(one, str) and one:
            return True
        if isinstance(one, list | dict):
            left += one.values() if isinstance(one, dict) else one
    return False
