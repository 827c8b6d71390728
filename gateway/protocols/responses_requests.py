"""POST /v1/responses, the request: instructions and items as turns, the format asked for, what of it is understood.

Each item is one turn, and every string in it that may be text is read, whatever the item's kind. docs/api.md has the
lists as tables, which a test compares with them.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.errors import BadRequest
from gateway.protocols import wire
from gateway.protocols.json import Path, bounded, decode_fields, decode_list, decoded, encode, invalid

READABLE_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
"""Types of parts that are text and nothing else."""
CALLS: Final = frozenset({"function_call", "custom_tool_call"})
"""Types of items in which the model calls a tool of the client's."""
_TEXTS: Final = frozenset({"text", "refusal"})
_PART: Final = frozenset({"type", "text", "refusal", "annotations", "logprobs", "prompt_cache_breakpoint"})
_RESULT: Final = frozenset({"type", "id", "call_id", "status", "output"})
ITEM_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "message": frozenset({"type", "id", "status", "role", "content", "phase"}),
    "reasoning": frozenset({"type", "id", "status", "summary", "content", "encrypted_content"}),
    "function_call": frozenset({"type", "id", "call_id", "status", "name", "arguments"}),
    "custom_tool_call": frozenset({"type", "id", "call_id", "status", "name", "input"}),
    "function_call_output": _RESULT,
    "custom_tool_call_output": _RESULT,
}
"""By an item's type, the keys that clients send and that change nothing of what is asked."""
PART_KEYS: Final[Mapping[str, frozenset[str]]] = dict.fromkeys(("content[]", "summary[]", "output[]"), _PART)
"""The same of the parts that items hold."""
_TOOLS: Final = re.compile(r".*_(?:call|output)|mcp_.*")
"""Types of items about tools, hosted ones among them. Tools that Codex offers by an item are its developer's; any other
item is read as the user's."""
_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
_IDS: Final = re.compile(r"type|(?:.*_)?id")
"""Keys whose strings are no text for a reader."""
_STATES: Final = frozenset({"role", "status", "phase", "detail", "encrypted_content", "obfuscation"})
"""The same in an item of a kind that is known."""
_NAMES: Final = frozenset({"name", "namespace", "server_label"})
"""The same in a call of a tool."""
_UNREADABLE: Final = frozenset({"image_url", "file_url", "file_data", "partial_image_b64", "logprobs"})
_KNOWN_KEYS: Final = frozenset().union(*ITEM_KEYS.values(), *PART_KEYS.values(), _NAMES, _UNREADABLE)
_READ: Final = ("instructions", "input", "tools", "text")
"""What a model is shown, and its provider counts as input."""
_STRING_OR_LIST: Final = re.compile(rb'\s*["\[]')
# within a string both quotes would be escaped
_ATTACHED: Final = re.compile(rb'"(?:image_url|file_data|file_url|file_id|item_reference)"')
_BASE64: Final = re.compile(rb'(?<!\\)"(?:data:[^",]*;base64,|file_data"\s*:\s*")[^"]*"')
_REFERENCE: Final = b"item_reference"
_UNSEEN: Final = ("previous_response_id", "conversation", "prompt")
"""Fields that name texts which lie at the provider."""
_LOGPROBS: Final = "message.output_text.logprobs"
INCLUDES: Final = frozenset({
    _LOGPROBS, "reasoning.encrypted_content", "file_search_call.results", "web_search_call.results",
    "web_search_call.action.sources", "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
})  # fmt: skip
"""All but the first ask for more of items that no answer has which is made here."""
UNDERSTOOD: Final = wire.Understood(
    harmless=frozenset({
        "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "service_tier", "temperature", "top_p", "reasoning", "parallel_tool_calls", "max_tool_calls", "truncation",
        "store",
    }),
    read=frozenset({
        "model", "instructions", "input", "stream", "text", "tools", "tool_choice", "max_output_tokens", "include",
        "top_logprobs", "background", *_UNSEEN,
    }),
    values={
        "stream_options": frozenset({"{}", '{"include_obfuscation":false}', '{"include_obfuscation":true}'}),
    },
    shape=("text", "tools", "tool_choice"),
)  # fmt: skip


class TextFormat(Struct):
    """`text.format`."""

    type: str = "text"
    schema: dict[str, Any] | None = None


class ResponsesRequest(Struct):
    """The fields that the gateway reads of each request; all others stay in the bytes that are forwarded."""

    model: str | None = None
    instructions: str | None = None
    input: Raw = Raw(b"null")
    stream: bool | None = None


class ToolFields(Struct):
    """One of `tools`, or `tool_choice` where it is an object."""

    type: str = "function"
    name: str = ""
    parameters: dict[str, Any] | None = None
    mode: str = "auto"
    tools: "list[ToolFields]" = []


class AskedFields(Struct):
    """The fields of a request that say which format its answer must have."""

    text: dict[str, Raw] | None = None
    tools: list[ToolFields] | None = None
    tool_choice: ToolFields | str | None = None
    max_output_tokens: int | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    background: bool | None = None
    previous_response_id: object = None
    conversation: object = None
    prompt: object = None


class InputPart(Struct):
    """A part of an item: text, or what cannot be read."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


_Content = str | list[InputPart] | None
_RESULT_ITEM: Final = msgspec.defstruct("ResultItem", [("output", str | list[InputPart])])
_ITEMS: Final[Mapping[str, type[Struct]]] = {
    "message": msgspec.defstruct("MessageItem", [("role", str), ("content", _Content)]),
    "reasoning": msgspec.defstruct(
        "ReasoningItem", [("summary", list[InputPart] | None, None), ("content", list[InputPart] | None, None)]
    ),
    "function_call": msgspec.defstruct("FunctionItem", [("arguments", str)]),
    "custom_tool_call": msgspec.defstruct("CustomItem", [("input", str)]),
    "function_call_output": _RESULT_ITEM,
    "custom_tool_call_output": _RESULT_ITEM,
}
"""What is checked of items."""
_decode_request: Final = msgspec.json.Decoder(ResponsesRequest).decode
_decode_text: Final = msgspec.json.Decoder(dict[str, Raw] | None).decode
_decode_format: Final = msgspec.json.Decoder(TextFormat | None).decode
_decode_asked: Final = msgspec.json.Decoder(AskedFields).decode


class ResponsesRequests(wire.RequestReader):
    """Reads requests of the Responses API."""

    understood = UNDERSTOOD

    def parse(self, served: wire.Wire, body: bytes) -> wire.Request:
        bounded(body)
        view = decoded(_decode_request, body)
        fields = decode_fields(body)
        if "messages" in fields:
            raise BadRequest("messages: /v1/chat/completions takes them; send input here", param="messages")
        model = wire.checked_model(view.model, fields, UNDERSTOOD.read)
        wire.check_number_of_turns("input", view.input)
        if bytes(view.input) != b"null" and _STRING_OR_LIST.match(view.input) is None:
            raise BadRequest("input: must be a text or a list of items", param="input")
        return wire.Request(
            wire=served,
            model=model,
            stream=bool(view.stream),
            wants_usage=True,
            wants_schema=_wants_schema(bytes(fields.get("text", b"null"))),
            fields=fields,
            path=served.path,
        )

    def turns(self, fields: wire.Fields) -> list[wire.Turn]:
        instructions, value = (wire.value_of(fields, name) for name in ("instructions", "input"))
        turns = (
            [wire.Turn("system", (instructions,), incomplete=False, paths=(("instructions",),))] if instructions else []
        )
        if isinstance(value, str):
            return [*turns, wire.Turn("user", (value,), incomplete=False, paths=(("input",),))]
        try:
            return [*turns, *[_turn(item, index) for index, item in enumerate(value or ())]]
        except RecursionError as error:
            raise BadRequest("input: is nested too deeply", param="input") from error

    def without(self, fields: wire.Fields, places: Collection[int]) -> wire.Fields:
        """As of RequestReader. Instructions, where there are any, are the first turn, and always stay."""
        before = 1 if wire.value_of(fields, "instructions") else 0
        items = decode_list(fields["input"])
        kept = [item for place, item in enumerate(items, before) if place not in places]
        return {**fields, "input": Raw(encode(kept))}

    def requested(self, fields: wire.Fields) -> wire.RequestedFormat | wire.Unsupported:
        try:
            known = AskedFields.__struct_fields__
            asked = _decode_asked(encode({name: fields[name] for name in known if name in fields}))
        except (msgspec.DecodeError, RecursionError) as error:
            return wire.Unsupported(wire.UnsupportedReason.MALFORMED, str(error))
        elsewhere = [name for name in _UNSEEN if getattr(asked, name) is not None]
        if elsewhere or asked.background:
            return wire.Unsupported(wire.UnsupportedReason.CONVERSATION, *elsewhere[:1] or ("background",))
        include = frozenset(asked.include or ())
        if not include <= INCLUDES:
            return wire.Unsupported(wire.UnsupportedReason.UNKNOWN_FIELD, f"include: {min(include - INCLUDES)}")
        shape = _shape(asked)
        if isinstance(shape, wire.Unsupported):
            return shape
        logprobs = _LOGPROBS in include or asked.top_logprobs
        return wire.RequestedFormat(
            shape=shape,
            max_tokens=asked.max_output_tokens,
            alternatives=(asked.top_logprobs or 0) if logprobs else None,
        )

    def size(self, fields: wire.Fields) -> tuple[int, bool]:
        """As of RequestReader. What lies at the provider counts as attached: its size is not known."""
        if "input" not in fields or any(bytes(fields.get(name, b"null")) != b"null" for name in _UNSEEN):
            return sum(len(fields[name]) for name in _READ if name in fields), True
        return wire.size_of(fields, _READ, "input", _ATTACHED, _BASE64)


class ResponsesHistory(wire.History):
    """What requests name by ids, and what is kept under them."""

    def named(self, fields: wire.Fields) -> wire.Named:
        response, store = (wire.value_of(fields, name) for name in ("previous_response_id", "store"))
        raw = fields.get("input", Raw(b"null"))
        items = [item for item in map(_reference, _items_of(fields)) if item] if _REFERENCE in bytes(raw) else []
        elsewhere = any(bytes(fields.get(name, b"null")) != b"null" for name in _UNSEEN[1:])
        return wire.Named(response if isinstance(response, str) else "", items, elsewhere, store is not False)

    def joined(self, fields: wire.Fields, earlier: wire.Earlier | None, items: Mapping[str, Raw]) -> wire.Fields:
        own = [items.get(_reference(item) or "", item) for item in _items_of(fields)]
        joined = {**fields, "input": Raw(encode([*(earlier.items if earlier else ()), *own]))}
        if earlier is not None:
            joined["previous_response_id"] = Raw(encode(earlier.before or None))
        return joined

    def made(self, fields: wire.Fields, body: bytes) -> wire.Made:
        response = decode_fields(body)
        output = {msgspec.json.decode(decode_fields(item)["id"]): item for item in decode_list(response["output"])}
        before = self.named(fields).response
        return wire.Made(msgspec.json.decode(response["id"]), _items_of(fields), before, output)


def _items_of(fields: wire.Fields) -> Sequence[Raw]:
    raw = bytes(fields.get("input", b"null")).lstrip()
    if raw[:1] == b'"':
        return [Raw(encode({"role": "user", "content": wire.value_of(fields, "input")}))]
    return decode_list(raw) if raw[:1] == b"[" else []


def _reference(item: Raw) -> str | None:
    """The id of an item that is named only."""
    if _REFERENCE not in bytes(item):
        return None
    given = wire.value_of({"input": item}, "input")
    is_one = isinstance(given, dict) and given.get("type") == "item_reference" and isinstance(given.get("id"), str)
    return given["id"] if is_one else None


def texts_of(value: Any, path: Path = (), *, known: bool = True) -> Iterator[tuple[Path, str | None]]:
    """Every text within an item, by its path; None at what is there and cannot be read (an image, say). known: whether
    the item's kind is, whose states and names are no text. Raises RecursionError."""
    if isinstance(value, str):
        if value:
            yield path, value
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from texts_of(inner, (*path, place), known=known)
    elif isinstance(value, dict):
        is_image = value.get("type") == "image_generation_call"
        is_call = known and ("arguments" in value or "input" in value)
        for key, inner in value.items():
            if key in _UNREADABLE or (is_image and key == "result"):
                if inner:
                    yield (*path, key), None
                continue
            skipped = _IDS.fullmatch(key) or (known and key in _STATES) or (is_call and key in _NAMES)
            if not (skipped and isinstance(inner, str)):
                yield from texts_of(inner, (*path, key), known=known)


def _wants_schema(text: bytes) -> bool:
    """Raises BadRequest where the field `text` is not as the reference has it."""
    form = (decoded(_decode_text, text, at="text") or {}).get("format", b"null")
    asked = decoded(_decode_format, bytes(form), at="text.format")
    return asked is not None and asked.type == "json_schema"


def _turn(item: Any, index: int) -> wire.Turn:
    """Raises BadRequest and RecursionError."""
    at = f"input[{index}]"
    kind = _kind(item)
    try:
        msgspec.convert(item, _ITEMS.get(kind, dict[str, Any]))
    except msgspec.ValidationError as error:
        raise invalid(error, at) from error
    texts: dict[Path, str] = {}
    unread = False
    for path, text in texts_of(item, known=kind in ITEM_KEYS or _TOOLS.fullmatch(kind) is not None):
        if text is None:
            unread = True
        else:
            texts["input", index, *path] = text
    parts = dict(_parts(item, at)) if kind in ITEM_KEYS else {}
    for where, fields in {at: item, **parts}.items():
        _refuse_lookalikes(fields, where)
    # an image with a text in the same part is an image all the same
    readable = (part.keys() & _TEXTS and part.get("type", "text") in READABLE_PARTS for part in parts.values())
    return wire.Turn(
        _role(item, kind),
        tuple(texts.values()),
        unread or not all(readable),
        tuple(texts),
        calls=kind in CALLS,
        unknown=tuple(_unknown(item, kind, at, parts)),
    )


def _kind(item: Any) -> str:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind is None:
        return "message" if isinstance(item, dict) and "role" in item else "item_reference"
    return str(kind)


def _role(item: Mapping[str, Any], kind: str) -> str:
    if kind == "message":
        return item["role"] if item["role"] in _ROLES else "user"
    if kind == "additional_tools" and item.get("role") in wire.SYSTEM:
        return "developer"
    if kind in CALLS or kind in ("reasoning", "item_reference", "compaction"):
        return "assistant"
    return "tool" if _TOOLS.fullmatch(kind) else "user"


def _parts(item: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of an item of a known kind, by their places."""
    for name in ("content", "summary", "output"):
        if isinstance(item.get(name), list):
            yield from ((f"{at}.{name}[{place}]", part) for place, part in enumerate(item[name]))


def _unknown(item: Mapping[str, Any], kind: str, at: str, parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where an item has what is not understood: all of it, a role, or keys."""
    if kind not in ITEM_KEYS:
        yield f"{at}: {kind}"
        return
    if kind == "message" and item["role"] not in _ROLES:
        yield f"{at}.role"
    for where, fields in {at: item, **parts}.items():
        known = ITEM_KEYS[kind] if fields is item else _PART
        yield from (f"{where}.{key}" for key, value in fields.items() if key not in known and value is not None)


def _refuse_lookalikes(fields: Mapping[str, Any], at: str) -> None:
    """Some servers match keys whatever their case: they would read what is not read here. Raises BadRequest."""
    for key in fields:
        if key not in _KNOWN_KEYS and key.casefold() in _KNOWN_KEYS:
            raise BadRequest(f"{at}.{key}: the key is written otherwise: {key.casefold()!r}", param=f"{at}.{key}")


def _shape(asked: AskedFields) -> wire.Shape | wire.Unsupported:
    options = asked.text or {}
    if options.keys() - {"format", "verbosity"}:
        return wire.Unsupported(wire.UnsupportedReason.UNKNOWN_FIELD, "text")
    if asked.tools and asked.tool_choice != "none":
        return _tool(asked.tools, asked.tool_choice)
    form = _decode_format(options.get("format", b"null"))
    if form is None or form.type == "text":
        return wire.PlainWord()
    if form.type == "json_object":
        return wire.AnyObject()
    if form.type == "json_schema" and form.schema is not None:
        return wire.SchemaObject(form.schema)
    return wire.Unsupported(wire.UnsupportedReason.MALFORMED, "text.format")


def _tool(tools: list[ToolFields], choice: ToolFields | str | None) -> wire.FunctionCall | wire.Unsupported:
    if any(tool.type != "function" for tool in tools):
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, "tools that are no functions")
    if isinstance(choice, ToolFields):
        named = {choice.name} if choice.type == "function" else {tool.name for tool in choice.tools}
        tools = [tool for tool in tools if tool.name in named]
        if choice.type == "function" and tools:
            return wire.FunctionCall(tools[0].name, tools[0].parameters or {}, legacy=False, named=True)
        if choice.type == "function" or not tools:
            return wire.Unsupported(wire.UnsupportedReason.MALFORMED, f"tool_choice: no function {choice.name!r}")
        choice = choice.mode if choice.type == "allowed_tools" else choice.type
    if choice == "required" and len(tools) == 1:
        return wire.FunctionCall(tools[0].name, tools[0].parameters or {}, legacy=False, named=False)
    return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"tool_choice {choice or 'auto'}")
