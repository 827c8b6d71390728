"""Agents of other client libraries reach the end of a tool loop through the starter (`make clients`).

Their user says "hello", which the starter answers with a fixed text where nothing else is asked. The model behind the
gateway calls a tool first, and answers when it has the tool's result.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.given import table_text

from .conftest import Running, start
from .test_clients import command

SHOP = "You are the support assistant of an online shop."
GATEWAY = table_text("given/e2e-agents-gateway.yaml")
CALL = {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": "10432"}'}}


class Model(BaseHTTPRequestHandler):
    """A model that calls the tool once, whole or streamed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        done = asked["messages"][-1]["role"] == "tool"
        finish = "stop" if done else "tool_calls"
        message: dict[str, Any] = {"role": "assistant", "content": "It is on its way." if done else None}
        if not done:
            message["tool_calls"] = [CALL]
        own = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        if asked.get("stream"):
            calls = {} if done else {"tool_calls": [{"index": 0, **CALL}]}
            chunks = [
                {"delta": {**message, **calls}, "index": 0, "finish_reason": None},
                {"delta": {}, "index": 0, "finish_reason": finish},
            ]
            events = [json.dumps({**own, "object": "chat.completion.chunk", "choices": [chunk]}) for chunk in chunks]
            events.append(json.dumps({**own, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
            body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
        else:
            choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
            body = json.dumps({**own, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def shop(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = tmp_path_factory.mktemp("agents") / "gateway.yaml"
    file.write_text(GATEWAY.format(models=workspace / "models", port=server.server_port, shop=SHOP))
    running = start(file)
    yield running
    running.stop()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("system", ["", SHOP], ids=["no-system-prompt", "own-system-prompt"])
@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("pydantic-ai", "with_pydantic_ai.py"),
        ("openai-agents", "with_openai_agents.py"),
        ("langchain-openai", "with_langgraph.py"),
        ("llm", "with_llm.py"),
        ("node", "with_run_tools.mjs"),
    ],
)
def test_an_agent_uses_its_tool(required: Any, shop: Running, client: str, script: str, system: str) -> None:
    asked = [*command(required, client, script), f"{shop.url}/v1", system]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
