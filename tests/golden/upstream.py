"""A local model server that records what it is sent. The model's name says how it answers.

`say:` at the front of the request's `user` field gives the answer's text; without it the last message is repeated.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STALL_S = 1.6
FRAME = {"id": "chatcmpl-upstream", "created": 1, "system_fingerprint": "fp"}
USAGE = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}


class Upstream(ThreadingHTTPServer):
    """calls: (path, headers, body) of every request, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: Any) -> None:
        """A gateway that gave up waiting is no error here."""

    def settle(self, quiet_s: float = 0.06) -> None:
        """Waits until no further call arrives: repeats are sent after the client has its answer."""
        seen = -1
        while seen != len(self.calls):
            seen = len(self.calls)
            time.sleep(quiet_s)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append((self.path, headers, body))
        try:
            self.reply(json.loads(body))
        except (ValueError, AttributeError, TypeError, LookupError):
            self.send(400, {"error": {"message": "unreadable", "type": "invalid_request_error"}})

    def reply(self, asked: dict[str, Any]) -> None:
        model = asked.get("model", "")
        if self.path.endswith("/moderations"):
            flags = {"violence": "kill" in json.dumps(asked["input"])}
            self.send(
                200, {"id": "m", "model": model, "results": [{"flagged": any(flags.values()), "categories": flags}]}
            )
        elif model.startswith("status-"):
            error = {"message": f"said so: {model}", "type": "server_error", "param": None, "code": None}
            self.send(int(model.removeprefix("status-")), {"error": error})
        elif model == "stall":
            time.sleep(STALL_S)
            self.send(200, whole(asked, "late"))
        elif model == "html":
            self.send_bytes(200, b"<html>busy</html>", "text/html")
        elif model == "cut" and not asked.get("stream"):
            self.send_bytes(200, b'{"id":"x","choi', "application/json", announced=500)
        elif model == "judge":
            self.send(200, whole(asked, verdict(asked["messages"][-1]["content"])))
        elif asked.get("stream"):
            self.stream(asked, cut=model == "cut")
        else:
            self.send(200, whole(asked, answer_text(asked)))

    def stream(self, asked: dict[str, Any], *, cut: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events(asked, cut=cut):
            self.wfile.write(b"data: " + event + b"\n\n")

    def send(self, status: int, answer: Any) -> None:
        self.send_bytes(status, json.dumps(answer).encode(), "application/json")

    def send_bytes(self, status: int, body: bytes, kind: str, *, announced: int = 0) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(announced or len(body)))
        self.send_header("x-ratelimit-remaining-requests", "7")
        self.send_header("x-request-id", "upstream-1")
        self.send_header("set-cookie", "a=b")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = bool(announced)


def answer_text(asked: dict[str, Any]) -> str:
    user = asked.get("user")
    if isinstance(user, str) and user.startswith("say:"):
        return user.removeprefix("say:")
    return f"You said: {asked['messages'][-1]['content']}"


def verdict(material: str) -> str:
    """A judge's answer: no verdict at all for `garbage`."""
    if "garbage" in material:
        return "hard to say"
    found = [label for word, label in (("kill", "threat"), ("ignore", "jailbreak")) if word in material]
    return json.dumps({"labels": found})


def whole(asked: dict[str, Any], text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    finish = "stop"
    if asked.get("tools") and asked.get("tool_choice") not in (None, "none"):
        call = {"id": "call_1", "type": "function", "function": {"name": "route", "arguments": text}}
        message, finish = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    choices = [{"index": index, "message": message, "finish_reason": finish} for index in range(asked.get("n") or 1)]
    return {**FRAME, "object": "chat.completion", "model": asked["model"], "choices": choices, "usage": USAGE}


def events(asked: dict[str, Any], *, cut: bool) -> list[bytes]:
    frame = {**FRAME, "object": "chat.completion.chunk", "model": asked["model"]}
    text = answer_text(asked)
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    found = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if cut:
        return [json.dumps(one).encode() for one in found[:3]]
    found.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        found.append({**frame, "choices": [], "usage": USAGE})
    return [*(json.dumps(one).encode() for one in found), b"[DONE]"]
