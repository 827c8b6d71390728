"""A small model behind every protocol, for real clients: what the last message says decides what it answers.

It keeps what it was sent. Like the providers, it knows no item and no response but those that it made itself, and
answers 404 to others. Run by itself (python -m benchmarks.clients.model PORT), it also plays the gateway's part: it
greets and refuses, so that a client's script can be tried, and what the client sends recorded, without a gateway.
"""

import itertools
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "It leaves tomorrow at noon."
TOOL_ANSWER = "The order is on its way."
GREETING = "Hi! How can I help?"
REFUSAL = "I cannot help with that."
ATTACK = "I will kill you"
WRONG = "No model of this colour exists."
NUMBER = "10432"
SHELL = "echo order 10432 is on its way"
SCRIPT = f'text(await tools.exec_command({{"cmd": "{SHELL}"}}));'
Json = dict[str, Any]
CALLS: dict[str, Any] = {
    "find_order": {"number": NUMBER},
    "exec_command": {"cmd": SHELL},
    "exec": SCRIPT,
    "Bash": {"command": SHELL, "description": "Looks for the order"},
}
"""What is called of the tools that a call brings. Codex's `exec` takes a script, not an object."""
STOP = dict.fromkeys(("stop_sequence", "stop_details", "container"))


@dataclass(slots=True, kw_only=True)
class Call:
    """A call that came. ids: those in the answer. reply: the answer's text, or the tool that it calls."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    ids: list[str] = field(default_factory=list)
    reply: Any = None


class Model(ThreadingHTTPServer):
    """plays_gateway: whether it greets and refuses."""

    daemon_threads = True

    def __init__(self, port: int = 0, *, plays_gateway: bool = False) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.plays_gateway = plays_gateway
        self.calls: list[Call] = []
        self.made: set[str] = set()
        self.tries: set[str] = set()
        self.numbers = itertools.count(1)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no error here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model
    call: Call

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.note(b"")
        models = [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "us"}]
        if self.headers.get("upgrade"):
            self.send(426, error("No WebSocket here.", "invalid_request_error"))
        else:
            self.send(200, {"object": "list", "data": models})

    def do_HEAD(self) -> None:
        self.note(b"")
        self.send(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.note(body)
        asked = json.loads(body)
        path = self.path.partition("?")[0].removeprefix("/v1")
        if path == "/messages/count_tokens":
            return self.send(200, {"input_tokens": 20})
        if path == "/embeddings":
            return self.send(200, embeddings(asked))
        if path not in FORMATS:
            return self.send(404, error(f"no such path: {path}", "invalid_request_error"))
        unknown = references(asked) - self.server.made
        if unknown:
            return self.send(404, error(f"Item with id {min(unknown)!r} not found.", "invalid_request_error"))
        text = json.dumps(last(asked))
        if "wrong colour" in text:
            return self.send(400, error(WRONG, "invalid_request_error"))
        if "once more" in text and path + text not in self.server.tries:
            self.server.tries.add(path + text)
            status = 503 if path == "/responses" else 429
            return self.send(status, error("Slow down.", "rate_limit_error"), {"retry-after-ms": "1"})
        whole, events = FORMATS[path]
        self.call.reply = self.reply(asked, text)
        answer = whole(asked, self.call.reply, self.identify)
        if not asked.get("stream"):
            return self.send(200, answer)
        return self.stream(events(answer, asked))

    def note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.call = Call(method=self.command, path=self.path, headers=headers, body=body)
        self.server.calls.append(self.call)

    def identify(self, kind: str) -> str:
        made = f"{kind}_{next(self.server.numbers):032x}"
        self.server.made.add(made)
        self.call.ids.append(made)
        return made

    def reply(self, asked: Json, text: str) -> str | tuple[str, Json]:
        """The answer's text, or the name of a tool and its arguments."""
        schemas = tools(asked)
        forced, schema = asked.get("tool_choice"), schema_of(asked)
        if forced not in (None, "auto", "none", {"type": "auto"}) and schemas:
            name = next(iter(schemas))
            return name, fill(schemas[name], schemas[name])
        if schema is not None:
            return json.dumps(fill(schema, schema))
        if "StructuredOutput" in schemas and not returned(asked):
            return "StructuredOutput", fill(schemas["StructuredOutput"], schemas["StructuredOutput"])
        if NUMBER in text and schemas and not returned(asked):
            for name, argument in CALLS.items():
                if name in schemas:
                    return name, argument
        if self.server.plays_gateway and (ATTACK in text or "Hello" in text):
            return REFUSAL if ATTACK in text else GREETING
        return TOOL_ANSWER if returned(asked) else ANSWER

    def send(self, status: int, answer: Json, more: dict[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        self.call.status = status
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self, events: Iterator[bytes]) -> None:
        self.call.status = 200
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events:
            self.wfile.write(event)


def references(asked: Json) -> set[str]:
    """The ids of another call's items and response."""
    items = asked.get("input") if isinstance(asked.get("input"), list) else []
    found = {item["id"] for item in items or () if isinstance(item, dict) and item.get("type") == "item_reference"}
    return found | ({asked["previous_response_id"]} if asked.get("previous_response_id") else set())


def last(asked: Json) -> Any:
    """The turns since the assistant's last one, without system prompts."""
    turns = asked.get("messages") or asked.get("input") or asked.get("prompt") or ""
    if isinstance(turns, str):
        return turns
    own = [n for n, turn in enumerate(turns) if turn.get("role") == "assistant" or turn.get("type") == "item_reference"]
    recent = turns[own[-1] + 1 :] if own else turns
    return [turn for turn in recent if turn.get("role") not in ("system", "developer")]


def returned(asked: Json) -> bool:
    """Whether the call brings a tool's result."""
    text = json.dumps(last(asked))
    return any(
        kind in text for kind in ('"role": "tool"', 'tool_call_output"', '"function_call_output"', '"tool_result"')
    )


def tools(asked: Json) -> dict[str, Json]:
    """The functions' schemas."""
    items = asked.get("input") if isinstance(asked.get("input"), list) else []
    more = [tool for item in items or () if item.get("type") == "additional_tools" for tool in item["tools"]]
    found = {}
    for tool in [*(asked.get("tools") or ()), *more]:
        for inner in tool.get("tools") or [tool.get("function", tool)]:
            if inner.get("name"):
                found[inner["name"]] = inner.get("parameters") or inner.get("input_schema") or {}
    return found


def schema_of(asked: Json) -> Json | None:
    """The JSON schema that the answer is to keep to."""
    form = (asked.get("text") or {}).get("format") or asked.get("response_format")
    form = form or (asked.get("output_config") or {}).get("format") or {}
    if form.get("type") == "json_object":
        return {"type": "object", "properties": {"intent": {"enum": ["other"]}}}
    found: Json | None = form.get("schema") or (form.get("json_schema") or {}).get("schema")
    return found


def fill(schema: Json, root: Json) -> Any:
    """A small value of a schema: enums take their last member."""
    if "$ref" in schema:
        return fill(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return fill(schema[choice][0], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const") or schema["enum"][-1]
    if schema.get("type") == "object":
        return {name: fill(part, root) for name, part in (schema.get("properties") or {}).items()}
    return {"array": [], "number": 0.5, "integer": 1, "boolean": True}.get(schema.get("type", ""), "a word")


def error(message: str, kind: str) -> Json:
    """Fits both providers' clients."""
    return {
        "type": "error",
        "error": {"message": message, "type": kind, "param": None, "code": None},
        "request_id": None,
    }


def embeddings(asked: Json) -> Json:
    vector: Any = [0.5, 0.25] if asked.get("encoding_format") == "float" else "AAAAPwAAgD4="
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return {"object": "list", "model": asked["model"], "data": data, "usage": usage}


def chat(asked: Json, reply: Any, identify: Any) -> Json:
    message: Json = {"role": "assistant", "content": reply, "refusal": None}
    if not isinstance(reply, str):
        function = {"name": reply[0], "arguments": json.dumps(reply[1])}
        message |= {"content": None, "tool_calls": [{"id": identify("call"), "type": "function", "function": function}]}
    finish = "stop" if isinstance(reply, str) else "tool_calls"
    choices = [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}]
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    frame = {"id": identify("chatcmpl"), "created": 1, "model": asked["model"], "object": "chat.completion"}
    return {**frame, "choices": choices, "usage": usage}


def chat_events(answer: Json, asked: Json) -> Iterator[bytes]:
    frame = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = answer["choices"][0]
    calls = [{"index": 0, **call} for call in choice["message"].get("tool_calls", ())]
    delta = {"role": "assistant", "content": choice["message"]["content"]} | ({"tool_calls": calls} if calls else {})
    for part, finish in ((delta, None), ({}, choice["finish_reason"])):
        yield data({**frame, "choices": [{"index": 0, "delta": part, "finish_reason": finish, "logprobs": None}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield data({**frame, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def completion(asked: Json, reply: Any, identify: Any) -> Json:
    frame = {"id": identify("cmpl"), "created": 1, "model": asked["model"], "object": "text_completion"}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    return {
        **frame,
        "choices": [{"index": 0, "text": reply, "finish_reason": "stop", "logprobs": None}],
        "usage": usage,
    }


def completion_events(answer: Json, _: Json) -> Iterator[bytes]:
    yield data({name: value for name, value in answer.items() if name != "usage"})
    yield b"data: [DONE]\n\n"


def response(asked: Json, reply: Any, identify: Any) -> Json:
    item: Json = {"type": "message", "role": "assistant", "status": "completed"}
    if isinstance(reply, str):
        item |= {
            "id": identify("msg"),
            "content": [{"type": "output_text", "text": reply, "annotations": [], "logprobs": []}],
        }
    else:
        item = {"id": identify("fc"), "type": "function_call", "status": "completed", "call_id": identify("call")}
        item |= {"name": reply[0], "arguments": json.dumps(reply[1])}
        if isinstance(reply[1], str):
            item |= {"id": identify("ctc"), "type": "custom_tool_call", "input": item.pop("arguments") and reply[1]}
    usage = {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}
    usage |= {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    echoed = {name: asked.get(name) for name in ("instructions", "previous_response_id", "metadata")}
    tools = [{"strict": None, **tool} if tool["type"] == "function" else tool for tool in asked.get("tools", ())]
    echoed |= {"tools": tools, "tool_choice": asked.get("tool_choice", "auto")}
    frame = {"id": identify("resp"), "object": "response", "created_at": 1, "model": asked["model"]}
    frame |= {"status": "completed", "error": None, "incomplete_details": None, "parallel_tool_calls": True}
    frame |= {"temperature": 1.0, "top_p": 1.0, "text": asked.get("text") or {"format": {"type": "text"}}}
    return {**frame, **echoed, "output": [item], "usage": {**usage, "output_tokens_details": {"reasoning_tokens": 0}}}


def response_events(answer: Json, _: Json) -> Iterator[bytes]:
    item = answer["output"][0]
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    empty: Json = {name: [] if name == "content" else "" for name in ("content", "arguments", "input") if name in item}
    open_item = {**item, "status": "in_progress", **empty}
    at: Json = {"item_id": item["id"], "output_index": 0}
    found: list[tuple[str, Json]] = [("created", {"response": begun}), ("in_progress", {"response": begun})]
    found.append(("output_item.added", {"output_index": 0, "item": open_item}))
    if "content" in item:
        part = item["content"][0]
        inner = {**at, "content_index": 0}
        found.append(("content_part.added", {**inner, "part": {**part, "text": ""}}))
        found.append(("output_text.delta", {**inner, "delta": part["text"], "logprobs": []}))
        found.append(("output_text.done", {**inner, "text": part["text"], "logprobs": []}))
        found.append(("content_part.done", {**inner, "part": part}))
    elif "input" in item:
        found.append(("custom_tool_call_input.delta", {**at, "delta": item["input"]}))
        found.append(("custom_tool_call_input.done", {**at, "input": item["input"]}))
    else:
        found.append(("function_call_arguments.delta", {**at, "delta": item["arguments"]}))
        found.append(("function_call_arguments.done", {**at, "name": item["name"], "arguments": item["arguments"]}))
    found += [("output_item.done", {"output_index": 0, "item": item}), ("completed", {"response": answer})]
    for number, (kind, more) in enumerate(found):
        yield data({"type": f"response.{kind}", "sequence_number": number, **more}, f"response.{kind}")


def message(asked: Json, reply: Any, identify: Any) -> Json:
    block: Json = {"type": "text", "text": reply, "citations": None}
    if not isinstance(reply, str):
        block = {
            "type": "tool_use",
            "id": identify("toolu"),
            "name": reply[0],
            "input": reply[1],
            "caller": {"type": "direct"},
        }
    usage = {"input_tokens": 20, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    usage |= dict.fromkeys(
        ("cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "service_tier")
    )
    frame = {"id": identify("msg"), "type": "message", "role": "assistant", "model": asked["model"], "content": [block]}
    stop = "end_turn" if isinstance(reply, str) else "tool_use"
    return {**frame, "stop_reason": stop, **STOP, "usage": usage}


def message_events(answer: Json, _: Json) -> Iterator[bytes]:
    block = answer["content"][0]
    begun = {**answer, "content": [], "stop_reason": None, "usage": {**answer["usage"], "output_tokens": 1}}
    empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
    delta = {"type": "text_delta", "text": block.get("text")}
    if block["type"] == "tool_use":
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    end = {"stop_reason": answer["stop_reason"], **STOP}
    for kind, more in (
        ("message_start", {"message": begun}),
        ("content_block_start", {"index": 0, "content_block": empty}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": answer["usage"]}),
        ("message_stop", {}),
    ):
        yield data({"type": kind, **more}, kind)


def data(event: Json, kind: str = "") -> bytes:
    return (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(event).encode() + b"\n\n"


FORMATS: dict[str, Any] = {
    "/chat/completions": (chat, chat_events),
    "/completions": (completion, completion_events),
    "/responses": (response, response_events),
    "/messages": (message, message_events),
}

if __name__ == "__main__":
    model = Model(int(sys.argv[1]), plays_gateway=True)
    threading.Event().wait()
