"""POST /v1/messages, the request: its messages' blocks as turns, the format that it asks for, what of it is understood.

One message may hold several turns: results of tools are turns of their own, wherever they stand. docs/api.md has the
lists as tables, which a test compares with them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from gateway.errors import BadRequest
from gateway.protocols import json, wire

_LIST: Final = re.compile(rb"\s*\[")
_READ: Final = ("system", "messages", "tools", "output_config")
"""What a model is shown, and its provider counts as input."""
_ATTACHED: Final = re.compile(rb'"type"\s*:\s*"(?:image|document|container_upload)"')
_DATA: Final = re.compile(rb'(?<!\\)"data"\s*:\s*"[^"]*"')
_ROLES: Final = frozenset({"user", "assistant", "system"})
"""Any other role is read as the user's."""
_CACHED: Final = frozenset({"type", "cache_control"})
_CALL: Final = _CACHED | {"id", "name", "input", "caller"}
MESSAGE_KEYS: Final = frozenset({"role", "content"})
BLOCK_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "text": _CACHED | {"text"},
    "tool_use": _CALL,
    "tool_result": _CACHED | {"tool_use_id", "content", "is_error"},
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
"""By type, the keys of blocks that change nothing of what is asked. A block of another type is not answered."""
_SPELLED: Final = MESSAGE_KEYS.union({"source", "title", "context", "citations"}, *BLOCK_KEYS.values())
_READABLE: Final = re.compile(
    r"text|(?:redacted_)?thinking|tool_reference|(?:\w+_)?tool_use|\w+_(?:result|error|output)"
)
"""Types of blocks whose texts are all read."""
_NO_TEXT: Final = re.compile(r"type|role|id|\w+_id|signature|encrypted_\w+|media_type|cache_control|caller")
_PLAIN_KEY: Final = re.compile(r"[\w$./:@-]{0,64}")
_TEXTS: Final = {"text": "text", "thinking": "thinking"}
UNDERSTOOD: Final = wire.Understood(
    harmless=frozenset({
        "metadata", "service_tier", "temperature", "top_p", "top_k", "thinking", "cache_control", "inference_geo",
        "speed",
    }),
    read=frozenset({
        "model", "system", "messages", "max_tokens", "stream", "tools", "tool_choice", "output_config", "output_format",
        "stop_sequences",
    }),
    values={"mcp_servers": frozenset({"[]"})},
    shape=("output_config", "output_format", "tools", "tool_choice"),
)  # fmt: skip
_FORMAT_KEYS: Final = frozenset({"effort", "format"})
"""Keys of `output_config` that are understood."""


class ToolDefinition(Struct):
    """One of `tools`; those of other types are the provider's own."""

    name: str = ""
    type: str | None = None
    input_schema: dict[str, Any] | None = None


class ChosenTool(Struct):
    """`tool_choice`."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class SchemaFormat(Struct):
    """`output_config.format`, or `output_format`."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class AskedOutput(Struct):
    """The fields of a request that say which format its answer must have."""

    tools: list[ToolDefinition] | None = None
    tool_choice: ChosenTool | None = None
    output_config: dict[str, Raw] | None = None
    output_format: SchemaFormat | None = None
    stop_sequences: list[str] | None = None
    max_tokens: int | None = None


class MessagesBody(Struct):
    """The fields that the gateway reads of every request; all others stay in the bytes that are forwarded."""

    model: str
    messages: Raw
    stream: bool | None = None
    max_tokens: int | None = None
    output_config: dict[str, Raw] | None = None
    output_format: Raw = Raw(b"null")


_KNOWN: Final = frozenset({*MessagesBody.__struct_fields__, *AskedOutput.__struct_fields__, "system"})
_decode_body: Final = msgspec.json.Decoder(MessagesBody).decode
_decode_asked: Final = msgspec.json.Decoder(AskedOutput).decode
_decode_format: Final = msgspec.json.Decoder(SchemaFormat | None).decode


class MessagesRequests(wire.RequestReader):
    """Reads Messages requests. counts: whether their tokens are only counted."""

    understood = UNDERSTOOD

    def __init__(self, *, counts: bool = False) -> None:
        self._counts = counts

    def parse(self, served: wire.Wire, body: bytes) -> wire.Request:
        json.bounded(body)
        fields = json.decoded(json.decode_fields, body)
        if "messages" not in fields:
            other = "; a body with input goes to /v1/responses" if "input" in fields else ""
            raise BadRequest(f"messages: is missing{other}", param="messages")
        view = json.decoded(_decode_body, body)
        if view.max_tokens is None and not self._counts:
            raise BadRequest(
                "max_tokens: is missing; a body in OpenAI's format goes to /v1/chat/completions", param="max_tokens"
            )
        if not _LIST.match(view.messages):
            raise BadRequest("messages: must be a list of messages", param="messages")
        wire.check_number_of_turns("messages", view.messages)
        asks_schema = bytes((view.output_config or {}).get("format", b"null")) != b"null"
        return wire.Request(
            wire=served,
            model=wire.checked_model(view.model, fields, _KNOWN),
            stream=bool(view.stream) and not self._counts,
            # it comes unasked
            wants_usage=True,
            wants_schema=asks_schema or bytes(view.output_format) != b"null",
            fields=fields,
            path=served.path,
        )

    def turns(self, fields: wire.Fields) -> list[wire.Turn]:
        return [turn for _, turns in _turns_of(fields) for turn, _ in turns]

    def without(self, fields: wire.Fields, places: Collection[int]) -> wire.Fields:
        """As of RequestReader. What is left of a message stays one."""
        rows, kept = json.decode_list(fields["messages"]), []
        place = 0
        for index, turns in _turns_of(fields):
            gone = [blocks for own, (_, blocks) in enumerate(turns, place) if own in places]
            place += len(turns)
            if index is None or len(gone) == len(turns):
                continue
            row = rows[index]
            if gone:
                dropped = {block for blocks in gone for block in blocks}
                content = json.decode_list(json.decode_fields(row)["content"])
                left = [block for number, block in enumerate(content) if number not in dropped]
                row = Raw(json.rewrite(row, {("content",): json.encode(left)}))
            kept.append(row)
        return {**fields, "messages": Raw(json.encode(kept))}

    def requested(self, fields: wire.Fields) -> wire.RequestedFormat | wire.Unsupported:
        if self._counts:
            return wire.Unsupported(wire.UnsupportedReason.MODALITY, "tokens are counted")
        given = {name: fields[name] for name in AskedOutput.__struct_fields__ if name in fields}
        try:
            asked = _decode_asked(json.encode(given))
            shape = _shape(asked)
        except (msgspec.DecodeError, RecursionError) as error:
            return wire.Unsupported(wire.UnsupportedReason.MALFORMED, str(error))
        if isinstance(shape, wire.Unsupported):
            return shape
        return wire.RequestedFormat(shape=shape, stop=tuple(asked.stop_sequences or ()), max_tokens=asked.max_tokens)

    def size(self, fields: wire.Fields) -> tuple[int, bool]:
        if self._counts:
            return 0, False
        return wire.size_of(fields, _READ, "messages", _ATTACHED, _DATA)


_Run = tuple[wire.Turn, list[int]]
"""A turn, and which of its message's blocks it is; none of a message that is one text."""


def _turns_of(fields: wire.Fields) -> Iterator[tuple[int | None, list[_Run]]]:
    """The turns of the system prompt, whose index is None, and of each message by its index. Raises BadRequest."""
    system = wire.value_of(fields, "system", digits=True)
    if system is not None:
        yield None, [_turn("system", system, list(_numbered(system, "system")), ("system",))]
    for index, message in enumerate(wire.value_of(fields, "messages", digits=True)):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"{where}: must be a message with a role", param=where)
        _refuse_lookalikes(message)
        unknown = [f"{where}.{key}" for key in sorted(message) if key not in MESSAGE_KEYS and message[key] is not None]
        role = message["role"] if message["role"] in _ROLES else "user"
        unknown += [] if message["role"] in _ROLES else [f"{where}.role"]
        content = message.get("content")
        blocks = [(number, _role_of(block, role), block) for number, block in _numbered(content, f"{where}.content")]
        path: json.Path = ("messages", index, "content")
        if not blocks:
            yield index, [_turn(role, content, [], path, unknown)]
            continue
        runs = [
            (by, [(number, block) for number, _, block in run]) for by, run in groupby(blocks, lambda each: each[1])
        ]
        yield index, [_turn(by, content, run, path, unknown) for by, run in runs]


def _numbered(content: Any, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The blocks of a content with their numbers; none of a text. Raises BadRequest for what is neither."""
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise BadRequest(f"{where}: must be a text or a list of blocks", param=where)
    for number, block in enumerate(content):
        place = f"{where}[{number}]"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise BadRequest(f"{place}: must be a block with a type", param=place)
        name = _TEXTS.get(block["type"])
        if name is not None and not isinstance(block.get(name), str):
            raise BadRequest(f"{place}.{name}: must be a text", param=f"{place}.{name}")
        if block["type"] == "tool_result" and block.get("content") is not None:
            list(_numbered(block["content"], f"{place}.content"))
        yield number, block


def _role_of(block: Mapping[str, Any], role: str) -> str:
    return "tool" if block["type"].endswith("tool_result") else role


def _turn(
    role: str, content: Any, run: list[tuple[int, dict[str, Any]]], path: json.Path, unknown: Collection[str] = ()
) -> _Run:
    """The turn of some blocks of a content, or of a content that is a text. path: of the content."""
    texts = {path: content} if isinstance(content, str) else {}
    places = [*unknown]
    at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    for number, block in run:
        texts |= strings(block, (*path, number))
        known = BLOCK_KEYS.get(block["type"], frozenset())
        others = [key for key in sorted(block) if key not in known and block[key] is not None]
        places += [f"{at}[{number}].{key}" for key in (others if known else ["type"])]
    turn = wire.Turn(
        role,
        tuple(texts.values()),
        any(unread(block) for _, block in run),
        tuple(texts),
        calls=any(block["type"].endswith("tool_use") for _, block in run),
        unknown=tuple(places),
    )
    return turn, [number for number, _ in run]


def strings(value: Any, path: json.Path) -> Iterator[tuple[json.Path, str]]:
    """The texts of a block by their paths: of a tool's input all strings and long numbers, else what is no id."""
    values: list[tuple[json.Path, Any, bool]] = [(path, value, False)]
    while values:
        at, value, free = values.pop()
        if isinstance(value, dict):
            inner = [(key, each) for key, each in value.items() if free or not _skips(key, value)]
            values += [((*at, key), each, free or key == "input") for key, each in inner][::-1]
        elif isinstance(value, list):
            values += [((*at, number), each, free) for number, each in enumerate(value)][::-1]
        elif isinstance(value, json.Digits) or (isinstance(value, int) and abs(value) > 999_999):
            if free:
                yield at, str(value)
        elif isinstance(value, str) and value:
            yield at, value


def _skips(key: str, holder: Mapping[str, Any]) -> bool:
    """Whether a key of a block has no text: an id, a tool's name, bytes."""
    if key == "name":
        return "input" in holder
    return bool(_NO_TEXT.fullmatch(key)) or (key == "data" and holder.get("type") != "text")


def unread(block: Any) -> bool:
    """Whether a block, or one within it, has more than the texts that are read: an image, say."""
    if not isinstance(block, dict):
        return False
    source, content = block.get("source"), block.get("content")
    if block.get("type") == "document":
        return not isinstance(source, dict) or source.get("type") != "text"
    if not _READABLE.fullmatch(str(block.get("type"))):
        return True
    within = content if isinstance(content, list) else [content]
    return any(map(unread, within)) or any(not _PLAIN_KEY.fullmatch(key) for key in _keys(block.get("input")))


def _keys(value: Any) -> Iterator[str]:
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield from value
            values += value.values()
        elif isinstance(value, list):
            values += value


def _refuse_lookalikes(message: Mapping[str, Any]) -> None:
    """Some servers match keys whatever their case: they would read what is not read here."""
    values: list[Any] = [message]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            for key in value:
                if key not in _SPELLED and key.casefold() in _SPELLED:
                    raise BadRequest(f"messages: the key {key!r} is written {key.casefold()!r}", param="messages")
            values += [each for key, each in value.items() if key != "input"]
        elif isinstance(value, list):
            values += value


def _shape(asked: AskedOutput) -> wire.PlainWord | wire.SchemaObject | wire.FunctionCall | wire.Unsupported:
    """Raises msgspec.DecodeError and RecursionError."""
    if asked.tools and (asked.tool_choice is None or asked.tool_choice.type != "none"):
        return _called(asked.tools, asked.tool_choice)
    config = asked.output_config or {}
    for key in sorted(config.keys() - _FORMAT_KEYS):
        return wire.Unsupported(wire.UnsupportedReason.UNKNOWN_FIELD, f"output_config.{key}")
    form = _decode_format(config.get("format", b"null")) or asked.output_format
    return wire.PlainWord() if form is None else wire.SchemaObject(form.schema)


def _called(tools: list[ToolDefinition], choice: ChosenTool | None) -> wire.FunctionCall | wire.Unsupported:
    if choice is None or choice.type == "auto" or (choice.type == "any" and len(tools) > 1):
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"tool_choice {choice.type if choice else 'auto'}")
    named = choice.type == "tool"
    tool = next((each for each in tools if not named or each.name == choice.name), None)
    if tool is None:
        return wire.Unsupported(wire.UnsupportedReason.MALFORMED, f"no tool {choice.name!r}")
    if tool.type not in (None, "custom"):
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"tool of type {tool.type}")
    return wire.FunctionCall(tool.name, tool.input_schema or {}, legacy=False, named=named)
