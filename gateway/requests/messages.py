"""Messages as turns of texts, and which of them a rule reads: by role, last turn or all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile
from typing import Any, Final

import msgspec

from gateway.errors import BadRequest
from gateway.protocols import chat
from gateway.protocols.json import Path, strict_json

_ROLES: Final = {**{role: role for role in ("system", "developer", "user", "assistant", "tool")}, "function": "tool"}
"""Any other role is read as the user's: an upstream may take it for that, and no rule would read it otherwise."""
SYSTEM: Final = frozenset({"system", "developer"})
"""Roles whose messages set the assistant up."""
READABLE_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
"""Types of content parts that are text and nothing else."""
ARGUMENTS: Final = ("function", "arguments")
"""Path of the arguments in a tool call: text that is JSON."""
_PART_TEXTS: Final = ("text", "refusal")
_MESSAGE_KEYS: Final = frozenset(chat.Message.__struct_fields__)
_PART_KEYS: Final = frozenset(chat.ContentPart.__struct_fields__)
_EVERY_ROLE: Final = frozenset({"role", "content", "name"})
MESSAGE_KEYS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("system", "developer", "user", "function"), _EVERY_ROLE),
    "assistant": _EVERY_ROLE | {
        "refusal", "annotations", "tool_calls", "function_call", "reasoning", "reasoning_content", "reasoning_details",
        "thinking_blocks",
    },
    "tool": _EVERY_ROLE | {"tool_call_id"},
}  # fmt: skip
"""By role, the keys that clients send and that change nothing of what is asked."""
NESTED_KEYS: Final[Mapping[str, frozenset[str]]] = {
    # the last two say where a provider may cut what it caches
    "content[]": _PART_KEYS | {"cache_control", "prompt_cache_breakpoint"},
    "tool_calls[]": frozenset({"id", "type", "index", "function", "custom"}),
    "tool_calls[].function": frozenset({"name", "arguments"}),
    "tool_calls[].custom": frozenset({"name", "input"}),
    "function_call": frozenset({"name", "arguments"}),
}
"""The same of what messages hold: parts of text, and calls of tools."""
_CALL_KEYS: Final = frozenset(chat.ToolCall.__struct_fields__)
_FUNCTION_KEYS: Final = frozenset({*chat.Function.__struct_fields__, *chat.CustomCall.__struct_fields__})


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its texts in order, and whether a part of it (an image, say) cannot be read. paths: of each text in
    the list of messages. calls: whether it calls a tool. unknown: where it has keys that are not known, or an unknown
    role, such as `messages[1].content[0].foo`."""

    role: str
    texts: tuple[str, ...]
    incomplete: bool
    paths: tuple[Path, ...] = field(default=(), compare=False)
    calls: bool = field(default=False, compare=False)
    unknown: tuple[str, ...] = field(default=(), compare=False)


def turns_of(messages: msgspec.Raw) -> list[Turn]:
    """Reads a request's messages as turns, in one strict decode. Raises BadRequest for what is no list of messages, and
    for keys that another server might read differently."""
    try:
        values = strict_json(bytes(messages))
        parsed = msgspec.convert(values, list[chat.Message])
        turns = [
            _turn(message, fields, index) for index, (message, fields) in enumerate(zip(parsed, values, strict=True))
        ]
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise BadRequest(f"messages: {error}", param="messages") from error
    for fields in values:
        _refuse_lookalikes(fields)
    return turns


def select(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[tuple[str, ...], bool]:
    """The texts that a rule reads and whether something among them cannot be read. last: only the latest run of
    messages of these roles (a user's turn may be split over several messages)."""
    chosen = _chosen(turns, roles, last=last)
    texts = tuple(text for turn in chosen for text in turn.texts)
    return texts, any(turn.incomplete for turn in chosen)


def passed_over(turns: Sequence[Turn], blocks: frozenset[str]) -> frozenset[int]:
    """The places of messages in exchanges that this gateway has blocked: from a user's turn, with all calls of tools
    and their results, to an assistant's turn that is exactly one of `blocks`, the texts that are sent for a block.
    System messages stay. None where nothing follows: then the blocked turn is what is asked."""
    found: set[int] = set()
    exchange: list[int] = []
    for place, turn in enumerate(turns):
        if turn.role in SYSTEM:
            continue
        exchange.append(place)
        if turn.role == "assistant" and not turn.calls:
            if len(turn.texts) == 1 and turn.texts[0] in blocks:
                found.update(exchange)
            exchange = []
    return frozenset(found if exchange else ())


def text_paths(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[Path, ...]:
    """The path in the list of messages of each text that `select` gives."""
    return tuple(path for turn in _chosen(turns, roles, last=last) for path in turn.paths)


def system_text(turns: Sequence[Turn]) -> str:
    """The text of system and developer messages without their names, for `when.system` and for classifiers."""
    system = [pair for turn in turns if turn.role in SYSTEM for pair in zip(turn.texts, turn.paths, strict=True)]
    return "\n".join(text for text, path in system if path[-1] != "name")


def _chosen(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> list[Turn]:
    return [turn for turn in (_latest_run(turns, roles) if last else turns) if turn.role in roles]


def _latest_run(turns: Sequence[Turn], roles: frozenset[str]) -> Iterator[Turn]:
    later = dropwhile(lambda turn: turn.role not in roles, reversed(turns))
    return reversed(list(takewhile(lambda turn: turn.role in roles, later)))


def _refuse_lookalikes(message: Mapping[str, Any]) -> None:
    """Some servers match keys whatever their case: they would read what is not read here."""
    _known_keys(message, _MESSAGE_KEYS)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        _known_keys(part, _PART_KEYS)
    functions = [message.get("function_call")]
    for call in message.get("tool_calls") or ():
        _known_keys(call, _CALL_KEYS)
        functions += [call.get("function"), call.get("custom")]
    for function in functions:
        _known_keys(function or {}, _FUNCTION_KEYS)


def _known_keys(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    if fields.keys() <= known:
        return
    for key in fields:
        if key not in known and key.casefold() in known:
            raise BadRequest(f"messages: the key {key!r} is written otherwise: {key.casefold()!r}", param="messages")


def _turn(message: chat.Message, fields: Mapping[str, Any], index: int) -> Turn:
    role = _ROLES.get(message.role, "user")
    content = message.content
    texts: dict[Path, str] = {}
    incomplete = False
    if isinstance(content, str):
        texts["content",] = content
    elif content:
        parts = [msgspec.convert(part, chat.ContentPart) for part in content]
        pairs = [(("content", i, name), getattr(part, name)) for i, part in enumerate(parts) for name in _PART_TEXTS]
        texts = {path: text for path, text in pairs if text is not None}
        # an image with a text in the same part is an image all the same
        incomplete = any(p.type not in READABLE_PARTS or (p.text is None and p.refusal is None) for p in parts)
    for path, text in _other_texts(message, role):
        if text and isinstance(text, str):
            texts[path] = text
    return Turn(
        role,
        tuple(texts.values()),
        incomplete,
        tuple([(index, *path) for path in texts]),
        calls=bool(message.tool_calls or message.function_call),
        unknown=_unknown(fields, index),
    )


def _unknown(fields: Mapping[str, Any], index: int) -> tuple[str, ...]:
    known = MESSAGE_KEYS.get(fields["role"])
    places = ["role"] if known is None else _not_in(known, fields)
    for where, kind, value in _nested(fields):
        places += [f"{where}.{key}" for key in _not_in(NESTED_KEYS[kind], value)]
    return tuple(f"messages[{index}].{place}" for place in sorted(places))


def _not_in(known: frozenset[str], fields: Mapping[str, Any]) -> list[str]:
    return [key for key in fields if key not in known and fields[key] is not None]


def _nested(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What a message holds: where it stands, its kind in NESTED_KEYS, its fields."""
    content = fields.get("content")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        yield f"content[{number}]", "content[]", part
    for number, call in enumerate(fields.get("tool_calls") or ()):
        yield f"tool_calls[{number}]", "tool_calls[]", call
        for name in ("function", "custom"):
            yield f"tool_calls[{number}].{name}", f"tool_calls[].{name}", call.get(name) or {}
    yield "function_call", "function_call", fields.get("function_call") or {}


def _other_texts(message: chat.Message, role: str) -> Iterator[tuple[Path, object]]:
    """Whatever may hold text beside the content, by its path in the message."""
    yield ("name",), message.name
    yield ("refusal",), message.refusal
    for index, call in enumerate(message.tool_calls or ()):
        if call.function:
            yield ("tool_calls", index, *ARGUMENTS), call.function.arguments
        if call.custom:
            yield ("tool_calls", index, "custom", "input"), call.custom.input
    if message.function_call:
        yield ("function_call", "arguments"), message.function_call.arguments
    if role == "assistant":
        yield ("reasoning_content",), message.reasoning_content
        yield ("reasoning",), message.reasoning
