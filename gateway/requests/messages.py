"""Which text a rule reads: by role, last turn or all, every part of a message that can carry text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from gateway.errors import BadRequest
from gateway.protocols import chat
from gateway.protocols.json import Path, key_twice

_ROLES: Final = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool")},
    "function": "tool",
}
"""Any other role is read as the user's: an upstream may take it for one, and no rule would look at it."""
SYSTEM: Final = frozenset({"system", "developer"})
"""Roles of whoever set the assistant up."""
READABLE_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
"""Types of content parts that are text and nothing else."""
ARGUMENTS: Final = ("function", "arguments")
"""Where in a tool call its arguments stand: text that is JSON."""
_REASONING: Final = ("reasoning_content", "reasoning")
"""Where servers put what a model thought before it answered; a client may send it back."""
_MESSAGE_KEYS: Final = frozenset(chat.Message.__struct_fields__)
_PART_KEYS: Final = frozenset(chat.ContentPart.__struct_fields__)
_CALL_KEYS: Final = frozenset(chat.ToolCall.__struct_fields__)
_FUNCTION_KEYS: Final = frozenset({*chat.Function.__struct_fields__, *chat.CustomCall.__struct_fields__})
_SHOWN: Final = 40
"""Characters of a key in an error."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its texts in order, and whether a part of it (an image, say) cannot be read.

    paths: where in the list of messages each text stands.
    """

    role: str
    texts: tuple[str, ...]
    incomplete: bool
    paths: tuple[Path, ...] = field(default=(), compare=False)


def turns_of(messages: msgspec.Raw) -> list[Turn]:
    """A request's messages as turns. Raises BadRequest where they are not messages, and where another server might read
    in them what is not read here."""
    try:
        for fields in chat.decode_message_keys(messages):
            _no_lookalikes(fields, _MESSAGE_KEYS)
            _no_lookalikes_in_calls(fields)
        turns = [_turn(message, place) for place, message in enumerate(chat.decode_messages(messages))]
        twice = key_twice(bytes(messages))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"messages: {error}", param="messages") from error
    if twice is not None:
        raise BadRequest(f"messages: the key {twice[:_SHOWN]!r} stands twice in one object", param="messages")
    return turns


def select(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[tuple[str, ...], bool]:
    """The texts that a rule reads and whether something among them cannot be read.

    last: only the latest run of messages of these roles (a user's turn may be split over several messages).
    """
    chosen = _chosen(turns, roles, last=last)
    texts = tuple(text for turn in chosen for text in turn.texts)
    return texts, any(turn.incomplete for turn in chosen)


def text_paths(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[Path, ...]:
    """Where in the list of messages each of the texts stands that `select` gives."""
    return tuple(path for turn in _chosen(turns, roles, last=last) for path in turn.paths)


def system_text(turns: Sequence[Turn]) -> str:
    """All that system and developer messages say, but not their names: for `when: {system_glob}`, and for classifiers
    that read it beside a turn."""
    return "\n".join(text for turn in turns if turn.role in SYSTEM for text in _but_names(turn))


def _but_names(turn: Turn) -> list[str]:
    names = {place for place, path in enumerate(turn.paths) if path[-1] == "name"}
    return [text for place, text in enumerate(turn.texts) if place not in names]


def _chosen(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> list[Turn]:
    return [turn for turn in (_latest_run(turns, roles) if last else turns) if turn.role in roles]


def _latest_run(turns: Sequence[Turn], roles: frozenset[str]) -> Iterator[Turn]:
    end = len(turns)
    while end and turns[end - 1].role not in roles:
        end -= 1
    start = end
    while start and turns[start - 1].role in roles:
        start -= 1
    return iter(turns[start:end])


def _no_lookalikes(keys: Iterable[str], known: frozenset[str]) -> None:
    """Some servers match keys whatever their case: what would be read there and not here is refused."""
    for key in keys:
        if key not in known and key.casefold() in known:
            raise BadRequest(f"messages: the key {key!r} is written otherwise: {key.casefold()!r}", param="messages")


def _no_lookalikes_in_calls(message: Mapping[str, msgspec.Raw]) -> None:
    """The same in the calls of an assistant's message, whose arguments are read."""
    calls = chat.decode_calls(message["tool_calls"]) or () if "tool_calls" in message else ()
    functions = [message["function_call"]] if "function_call" in message else []
    for call in calls:
        _no_lookalikes(call, _CALL_KEYS)
        functions += [call[name] for name in ("function", "custom") if name in call]
    for function in functions:
        _no_lookalikes(chat.decode_options(function) or (), _FUNCTION_KEYS)


def _turn(message: chat.Message, place: int) -> Turn:
    found: list[tuple[Path, str | None]] = []
    incomplete = False
    if isinstance(message.content, str):
        found.append((("content",), message.content))
    elif message.content:
        for index, raw in enumerate(message.content):
            _no_lookalikes(chat.decode_fields(raw), _PART_KEYS)
            part = chat.decode_part(raw)
            found += [(("content", index, "text"), part.text), (("content", index, "refusal"), part.refusal)]
            # an image with a text beside it is an image all the same
            empty = part.text is None and part.refusal is None
            incomplete = incomplete or part.type not in READABLE_PARTS or empty
    found += [(("name",), message.name or None), (("refusal",), message.refusal or None)]
    calls = list(enumerate(message.tool_calls or ()))
    found += [(("tool_calls", i, *ARGUMENTS), call.function.arguments or None) for i, call in calls if call.function]
    if message.function_call:
        found.append((("function_call", "arguments"), message.function_call.arguments or None))
    found += [(("tool_calls", i, "custom", "input"), call.custom.input or None) for i, call in calls if call.custom]
    role = _ROLES.get(message.role, "user")
    if role == "assistant":
        thought = ((name, getattr(message, name)) for name in _REASONING)
        found += [((name,), text) for name, text in thought if isinstance(text, str) and text]
    kept = [(path, text) for path, text in found if text is not None]
    return Turn(
        role,
        tuple(text for _, text in kept),
        incomplete,
        tuple((place, *path) for path, _ in kept),
    )
