"""The built-in upstream: answers from the request itself, in every shape a client may ask for.

It serves demos, tests and load tests. Its text repeats the last user turn; a forced tool and a json_schema are
filled with the smallest value that fits. Tokens are counted as words and marks; costs are notional.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from gateway.errors import BadRequest
from gateway.types import new_request_id
from gateway.upstreams.base import Answer, Call
from gateway.wire import sse

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_JSON: Final = [(b"content-type", b"application/json")]
_SMALLEST: Final[Mapping[str, Any]] = {
    "string": "echo",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "null": None,
    "array": [],
}


class EchoUpstream:
    """Answers after `delay_s`; a stream spreads it over its words."""

    notional = True
    ask_usage = True

    def __init__(self, name: str, *, delay_s: float = 0.0) -> None:
        self.name = name
        self._delay_s = delay_s

    async def send(self, call: Call) -> Answer:
        try:
            request = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        try:
            message = _message(request)
            usage = _usage(request, message)
        except (TypeError, AttributeError, LookupError, RecursionError) as error:
            raise BadRequest(f"the request is not a chat completion: {error}") from error
        if call.stream:
            return Answer(status=200, headers=[], chunks=self._stream(request, message, usage))
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(message)}
        body = {**_frame(request, "chat.completion"), "choices": [choice], "usage": usage}
        return Answer(status=200, headers=_JSON, body=msgspec.json.encode(body))

    async def close(self) -> None:
        """Holds nothing."""

    async def _stream(
        self, request: dict[str, Any], message: dict[str, Any], usage: dict[str, int]
    ) -> AsyncIterator[bytes]:
        frame = _frame(request, "chat.completion.chunk")
        asked = bool((request.get("stream_options") or {}).get("include_usage"))
        extra: dict[str, Any] = {"usage": None} if asked else {}
        pieces = _pieces(message)
        for index, delta in enumerate([{"role": "assistant", "content": ""}, *pieces, {}]):
            if self._delay_s and index:
                await asyncio.sleep(self._delay_s / (len(pieces) + 1))
            finish = None if delta else _finish(message)
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield sse.event(msgspec.json.encode({**frame, "choices": [choice], **extra}))
        if asked:
            yield sse.event(msgspec.json.encode({**frame, "choices": [], "usage": usage}))
        yield sse.DONE


def _frame(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-" + new_request_id()[4:],
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model", "echo"),
    }


def _message(request: dict[str, Any]) -> dict[str, Any]:
    tool = _forced_tool(request)
    if tool is not None:
        arguments = msgspec.json.encode(smallest(tool.get("parameters") or {"type": "object"})).decode()
        call = {"id": "call_echo", "type": "function", "function": {"name": tool["name"], "arguments": arguments}}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return {"role": "assistant", "content": _content(request), "refusal": None}


def _content(request: dict[str, Any]) -> str:
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema") or {}
        return msgspec.json.encode(smallest(schema)).decode()
    if wanted.get("type") == "json_object":
        return msgspec.json.encode({"echo": _last_user_text(request)}).decode()
    return f"echo: {_last_user_text(request)}"


def _forced_tool(request: dict[str, Any]) -> dict[str, Any] | None:
    tools = [tool["function"] for tool in request.get("tools") or [] if tool.get("function")]
    choice = request.get("tool_choice")
    if choice == "required" and tools:
        return dict(tools[0])
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        return next((dict(tool) for tool in tools if tool.get("name") == name), None)
    return None


def smallest(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """The smallest value that fits a JSON schema of the kind structured outputs use."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for key in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(key, {})
        return smallest(target, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return smallest(schema[key][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {
            name: smallest(properties[name], root) for name in schema.get("required", properties) if name in properties
        }
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


def _usage(request: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    prompt = sum(_count(part) for part in request.get("messages") or [])
    completion = _count(message.get("content") or message.get("tool_calls"))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _count(value: Any) -> int:
    if isinstance(value, str):
        return len(_TOKEN.findall(value))
    if isinstance(value, dict):
        return sum(_count(part) for key, part in value.items() if key != "role") + 3 * ("role" in value)
    return sum(_count(part) for part in value) if isinstance(value, list) else 0
