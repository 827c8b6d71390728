"""The built-in upstream: answers from the request itself, in every format a client may ask for.

It serves demos, tests and load tests. Its text repeats the last user turn; a forced tool and a json_schema get the
smallest value that fits. All choices are equal. Words and marks count as tokens; costs are notional.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from gateway.answers.json_schema import SchemaReader, TooLarge
from gateway.context import new_request_id
from gateway.errors import BadRequest
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.served import WIRES
from gateway.protocols.wire import AnyObject, FunctionCall, ReplyContent, SchemaObject, TokenCounts, Unsupported
from gateway.upstreams.base import Answer, UpstreamCall

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_JSON: Final = [(b"content-type", b"application/json")]
_MAX_BYTES: Final = 32 * 1024**2
"""Size of all choices of a whole answer together."""
_SMALLEST: Final = {"string": "echo", "integer": 0, "number": 0, "boolean": False, "null": None, "array": []}


class EchoUpstream:
    """Answers after `delay_s`; a stream spreads it over its words."""

    notional = True
    ask_usage = True
    speaks = frozenset({wire.endpoint for wire in WIRES})

    def __init__(self, name: str, *, delay_s: float = 0.0) -> None:
        self.name = name
        self._delay_s = delay_s

    async def send(self, call: UpstreamCall) -> Answer:
        if call.wire is not CHAT:
            return _in_wire(call)
        try:
            request = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        try:
            message = _message(request)
            indexes = range(request.get("n") or 1)
            usage = _usage(request, message, len(indexes))
        except TooLarge as error:
            raise BadRequest("the schema has more places than are filled here") from error
        except (TypeError, AttributeError, LookupError, RecursionError) as error:
            raise BadRequest(f"the request is not a chat completion: {error}") from error
        if call.stream:
            return Answer(status=200, headers=[], chunks=self._stream(request, message, indexes, usage))
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        encoded = msgspec.Raw(msgspec.json.encode(message))
        if len(encoded) * len(indexes) > _MAX_BYTES:
            raise BadRequest(f"the answer would be over {_MAX_BYTES} bytes")
        choice = {"message": encoded, "logprobs": None, "finish_reason": _finish(message)}
        choices = [{"index": index, **choice} for index in indexes]
        body = {**_frame(request, "chat.completion"), "choices": choices, "usage": usage}
        return Answer(status=200, headers=_JSON, body=msgspec.json.encode(body))

    async def close(self) -> None:
        """Nothing to close."""

    async def _stream(
        self, request: dict[str, Any], message: dict[str, Any], indexes: range, usage: dict[str, int]
    ) -> AsyncIterator[bytes]:
        frame = _frame(request, "chat.completion.chunk")
        ask_usage = bool((request.get("stream_options") or {}).get("include_usage"))
        extra: dict[str, Any] = {"usage": None} if ask_usage else {}
        pieces = _pieces(message)
        for place, delta in enumerate([{"role": "assistant", "content": ""}, *pieces, {}]):
            if self._delay_s and place:
                await asyncio.sleep(self._delay_s / (len(pieces) + 1))
            finish = None if delta else _finish(message)
            for index in indexes:
                choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
                yield sse.event(msgspec.json.encode({**frame, "choices": [choice], **extra}))
        if ask_usage:
            yield sse.event(msgspec.json.encode({**frame, "choices": [], "usage": usage}))
        yield sse.DONE


def _in_wire(call: UpstreamCall) -> Answer:
    """The answer in a wire format other than chat's, as it writes local ones."""
    request = call.wire.parse(call.body)
    users = [turn for turn in request.turns if turn.role == "user" and turn.texts]
    text = " ".join(users[-1].texts) if users else ""
    requested = call.wire.requests.requested(request.fields)
    shape = None if isinstance(requested, Unsupported) else requested.shape
    content = ReplyContent(text=f"echo: {text}")
    try:
        if isinstance(shape, FunctionCall):
            content = ReplyContent(text=_json(smallest(shape.schema or {"type": "object"})), call=shape)
        elif isinstance(shape, SchemaObject):
            content = ReplyContent(text=_json(smallest(shape.schema)))
        elif isinstance(shape, AnyObject):
            content = ReplyContent(text=_json({"echo": text}))
    except TooLarge as error:
        raise BadRequest("the schema has more places than are filled here") from error
    counts = TokenCounts(sum(_count(part) for turn in request.turns for part in turn.texts), _count(content.text))
    parts = (request, content, new_request_id()[4:], counts)
    if call.stream:
        return Answer(status=200, headers=[], chunks=sse.each(call.wire.replies.events(*parts)))
    return Answer(status=200, headers=_JSON, body=call.wire.replies.whole(*parts))


def _frame(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-" + new_request_id()[4:],
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model", "echo"),
    }


def _message(request: dict[str, Any]) -> dict[str, Any]:
    text = _last_user_text(request)
    requested = request.get("response_format") or {}
    tool = _forced_tool(request)
    if tool is not None:
        function = {"name": tool["name"], "arguments": _json(smallest(tool.get("parameters") or {"type": "object"}))}
        call = {"id": "call_echo", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    if requested.get("type") == "json_schema":
        content = _json(smallest((requested.get("json_schema") or {}).get("schema") or {}))
    elif requested.get("type") == "json_object":
        content = _json({"echo": text})
    else:
        content = f"echo: {text}"
    return {"role": "assistant", "content": content, "refusal": None}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _forced_tool(request: dict[str, Any]) -> dict[str, Any] | None:
    tools = [tool["function"] for tool in request.get("tools") or [] if tool.get("function")]
    choice = request.get("tool_choice")
    if choice == "required" and tools:
        return dict(tools[0])
    name = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    return next((dict(tool) for tool in tools if name is not None and tool.get("name") == name), None)


def smallest(schema: dict[str, Any]) -> Any:
    """The smallest value that fits a JSON schema of the kind structured outputs use. Raises TooLarge where the schema
    would be read more often than a schema of use."""
    return _smallest(schema, SchemaReader(schema))


def _smallest(schema: dict[str, Any], reader: SchemaReader) -> Any:
    reader.count_place(schema)
    if "$ref" in schema:
        target: Any = reader.target(schema["$ref"])
        return _smallest({} if target is None else target, reader)
    if "const" in schema or schema.get("enum"):
        value = schema["const"] if "const" in schema else schema["enum"][0]
        # each use counts, because one long text may be the value of many places
        reader.count_words([_json(value)], 1)
        return value
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _smallest(schema[key][0], reader)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        names = [name for name in schema.get("required", properties) if name in properties]
        reader.count_words(names, 1)
        return {name: _smallest(properties[name], reader) for name in names}
    return _SMALLEST.get(kind)


def _last_user_text(request: dict[str, Any]) -> str:
    for message in reversed(request.get("messages") or []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return " ".join(str(part.get("text", "")) for part in content or [] if isinstance(part, dict))
    return ""


def _pieces(message: dict[str, Any]) -> list[dict[str, Any]]:
    if "tool_calls" in message:
        return [{"tool_calls": [{"index": 0, **call} for call in message["tool_calls"]]}]
    return [{"content": piece} for piece in re.findall(r"\s*\S+|\s+$", message["content"])]


def _finish(message: dict[str, Any]) -> str:
    return "tool_calls" if "tool_calls" in message else "stop"


def _usage(request: dict[str, Any], message: dict[str, Any], choices: int) -> dict[str, int]:
    prompt = sum(_count(part) for part in request.get("messages") or [])
    completion = _count(message.get("content") or message.get("tool_calls")) * choices
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _count(value: Any) -> int:
    if isinstance(value, str):
        return len(_TOKEN.findall(value))
    if isinstance(value, dict):
        return sum(_count(part) for key, part in value.items() if key != "role") + 3 * ("role" in value)
    return sum(_count(part) for part in value) if isinstance(value, list) else 0
