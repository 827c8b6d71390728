"""POST /v1/chat/completions, the request: its messages as turns, the format that it asks for, what of it is understood.

All other fields keep their bytes for the forward. docs/api.md has the lists as tables, which a test compares with them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.errors import BadRequest
from gateway.protocols import chat, wire
from gateway.protocols.json import Path, bounded, decode_fields, decode_list, decoded, encode, strict_json

_MOST_CHOICES: Final = 128
"""OpenAI's own bound; an answer made here has each choice in memory."""
_KNOWN: Final = frozenset(chat.ChatRequest.__struct_fields__)
_READ: Final = ("messages", "tools", "functions", "response_format")
"""What a model is shown, and its provider counts as input."""
# within a string both quotes would be escaped
_LIST: Final = re.compile(rb"\s*\[")
_ATTACHED: Final = re.compile(rb'"(?:image_url|video_url|input_audio|file)"\s*:')
_BASE64: Final = re.compile(rb'(?<!\\)"(?:data:[^",]*;base64,|(?:data|file_data)"\s*:\s*")[^"]*"')
_ROLES: Final = {**{role: role for role in ("system", "developer", "user", "assistant", "tool")}, "function": "tool"}
"""Any other role is read as the user's: an upstream may take it for that, and no rule would read it otherwise."""
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
UNDERSTOOD: Final = wire.Understood(
    harmless=frozenset({
        "user", "metadata", "seed", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "prompt_cache_options", "service_tier", "temperature", "top_p", "frequency_penalty", "presence_penalty",
        "reasoning_effort", "verbosity", "parallel_tool_calls", "top_k", "min_p", "keep_alive", "cache_prompt",
    }),
    read=frozenset({
        "model", "messages", "stream", "n", "response_format", "tools", "tool_choice", "functions", "function_call",
        "modalities", "audio", "web_search_options", "stop", "max_tokens", "max_completion_tokens", "logprobs",
        "top_logprobs",
    }),
    values={
        "store": frozenset({"false"}),
        "logit_bias": frozenset({"{}"}),
        "stream_options": frozenset({
            "{}", '{"include_usage":true}', '{"include_usage":false}', '{"include_obfuscation":false}',
            '{"include_usage":true,"include_obfuscation":false}',
        }),
    },
    shape=("response_format", "tools", "tool_choice", "functions", "function_call"),
)  # fmt: skip


class ChatRequests(wire.RequestReader):
    """Reads chat requests."""

    understood = UNDERSTOOD

    def parse(self, served: wire.Wire, body: bytes) -> wire.Request:
        bounded(body)
        try:
            view = decoded(chat.decode_request, body)
        except BadRequest as error:
            if error.param == "messages" and "input" in decode_fields(body):
                raise BadRequest("input: /v1/responses takes it; send messages here", param="input") from error
            raise
        wire.check_number_of_turns("messages", view.messages)
        fields = decode_fields(body)
        model = wire.checked_model(view.model, fields, _KNOWN)
        if view.n is not None and not 1 <= view.n <= _MOST_CHOICES:
            raise BadRequest(f"n: must be between 1 and {_MOST_CHOICES}", param="n")
        if _LIST.match(view.messages) is None:
            raise BadRequest("messages: must be a list of messages", param="messages")
        return wire.Request(
            wire=served,
            model=model,
            stream=bool(view.stream),
            wants_usage=bool(view.stream_options and view.stream_options.include_usage),
            wants_schema=bool(view.response_format and view.response_format.type == "json_schema"),
            choices=view.n or 1,
            fields=fields,
            path=served.path,
        )

    def turns(self, fields: wire.Fields) -> list[wire.Turn]:
        return turns_of(fields["messages"])

    def without(self, fields: wire.Fields, places: Collection[int]) -> wire.Fields:
        rows = decode_list(fields["messages"])
        return {**fields, "messages": Raw(encode([row for place, row in enumerate(rows) if place not in places]))}

    def requested(self, fields: wire.Fields) -> wire.RequestedFormat | wire.Unsupported:
        try:
            asked = chat.decode_asked(fields)
        except (msgspec.DecodeError, RecursionError) as error:
            return wire.Unsupported(wire.UnsupportedReason.MALFORMED, str(error))
        if set(asked.modalities or ["text"]) != {"text"} or asked.audio or asked.web_search_options is not None:
            return wire.Unsupported(wire.UnsupportedReason.MODALITY)
        shape = _shape(asked)
        if isinstance(shape, wire.Unsupported):
            return shape
        limits = [limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit is not None]
        return wire.RequestedFormat(
            shape=shape,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            max_tokens=min(limits) if limits else None,
            alternatives=(asked.top_logprobs or 0) if asked.logprobs else None,
        )

    def size(self, fields: wire.Fields) -> tuple[int, bool]:
        return wire.size_of(fields, _READ, "messages", _ATTACHED, _BASE64)

    def asking_usage(self, fields: wire.Fields) -> wire.Fields:
        options = chat.decode_options(fields.get("stream_options", b"null")) or {}
        options["include_usage"] = Raw(b"true")
        return {**fields, "stream_options": Raw(encode(options))}


def turns_of(messages: Raw) -> list[wire.Turn]:
    """Messages as turns, in one strict decode. Raises BadRequest as `Request.turns` does."""
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


def _turn(message: chat.Message, fields: Mapping[str, Any], index: int) -> wire.Turn:
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
    return wire.Turn(
        role,
        tuple(texts.values()),
        incomplete,
        tuple([("messages", index, *path) for path in texts]),
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
    """Whatever may hold text besides the content, by its path in the message."""
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


def _shape(asked: chat.FormatFields) -> wire.Shape | wire.Unsupported:
    call = _call(asked)
    if call is not None:
        return call
    form = asked.response_format
    if form is None or form.type == "text":
        return wire.PlainWord()
    if form.type == "json_object":
        return wire.AnyObject()
    if form.type == "json_schema" and form.json_schema is not None and form.json_schema.schema is not None:
        return wire.SchemaObject(form.json_schema.schema)
    return wire.Unsupported(wire.UnsupportedReason.MALFORMED, "response_format")


def _call(asked: chat.FormatFields) -> wire.FunctionCall | wire.Unsupported | None:
    """None where no function can be called."""
    if asked.tools and asked.tool_choice != "none":
        return _tool(asked.tools, asked.tool_choice)
    if asked.functions and asked.function_call != "none":
        if isinstance(asked.function_call, chat.FunctionDefinition):
            return _named(asked.functions, asked.function_call.name, legacy=True)
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"function_call {asked.function_call or 'auto'}")
    return None


def _tool(tools: list[chat.Tool], choice: chat.Tool | str | None) -> wire.FunctionCall | wire.Unsupported:
    functions = [tool.function for tool in tools if tool.function]
    if len(functions) < len(tools):
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, "custom tools")
    if isinstance(choice, chat.Tool) and choice.type != "function":
        return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"tool_choice {choice.type}")
    if isinstance(choice, chat.Tool):
        return _named(functions, choice.function.name if choice.function else "", legacy=False)
    if choice == "required" and len(functions) == 1:
        return wire.FunctionCall(functions[0].name, functions[0].parameters or {}, legacy=False, named=False)
    return wire.Unsupported(wire.UnsupportedReason.FREE_TOOLS, f"tool_choice {choice or 'auto'}")


def _named(
    functions: list[chat.FunctionDefinition], name: str, *, legacy: bool
) -> wire.FunctionCall | wire.Unsupported:
    for function in functions:
        if function.name == name:
            return wire.FunctionCall(name, function.parameters or {}, legacy=legacy, named=True)
    return wire.Unsupported(wire.UnsupportedReason.MALFORMED, f"no function {name!r}")
