"""What a reply holds, whichever format it has: its events, its text or call, its ids."""

import json
import re
from typing import Any

ID = re.compile(r'"((resp|msg|fc|call|ctc|toolu)_[\w-]+)"')


def events(body: str) -> list[tuple[str, Any]]:
    """The name and the data of each event of a stream."""
    found = []
    for block in body.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines and lines["data"] != "[DONE]":
            found.append((lines.get("event", ""), json.loads(lines["data"])))
    return found


def ids(body: str) -> dict[str, str]:
    """The first id of each kind."""
    found: dict[str, str] = {}
    for match in ID.finditer(body):
        found.setdefault(match[2], match[1])
    return found


def whole(path: str, answer: Any) -> Any:
    """An answer's text, or the name of the tool that it calls and its arguments."""
    match path:
        case "/v1/chat/completions":
            message = answer["choices"][0]["message"]
            calls = [call["function"] for call in message.get("tool_calls") or ()]
            return call_of(calls[0]["name"], calls[0]["arguments"]) if calls else message["content"]
        case "/v1/completions":
            return answer["choices"][0]["text"]
        case "/v1/responses":
            item = answer["output"][-1]
            if "content" in item:
                return item["content"][0].get("text", item["content"][0].get("refusal"))
            return call_of(item["name"], item.get("arguments", item.get("input")))
        case "/v1/messages":
            block = answer["content"][-1]
            return block["text"] if block["type"] == "text" else [block["name"], block["input"]]
    return None


def call_of(name: str, arguments: str) -> Any:
    return [name, json.loads(arguments) if arguments.startswith("{") else arguments]


def streamed(path: str, found: list[tuple[str, Any]]) -> Any:
    """The same of a stream: of its parts, which must be what its end repeats."""
    data = [event for _, event in found]
    if path == "/v1/responses":
        text = "".join(event["delta"] for event in data if event["type"].endswith(".delta"))
        answer = whole(path, data[-1]["response"])
        return answer if text in (answer, "") or not isinstance(answer, str) else f"{text!r} and {answer!r}"
    if path == "/v1/messages":
        blocks = [event["content_block"] for event in data if event["type"] == "content_block_start"]
        deltas = [event["delta"] for event in data if event["type"] == "content_block_delta"]
        text = "".join(delta.get("text", delta.get("partial_json", "")) for delta in deltas)
        return text if blocks[-1]["type"] == "text" else call_of(blocks[-1]["name"], text)
    choices = [event["choices"][0] for event in data if event["choices"]]
    if path == "/v1/completions":
        return "".join(choice["text"] for choice in choices)
    calls = [call["function"] for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    if calls:
        return call_of(calls[0]["name"], "".join(call.get("arguments") or "" for call in calls))
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def faults(path: str, found: list[tuple[str, Any]]) -> list[str]:
    """What a stream's frame has wrong, beside its events."""
    wrong = []
    if path == "/v1/responses":
        numbers = [event.get("sequence_number") for _, event in found]
        wrong += [f"sequence numbers {numbers}"] if numbers != list(range(len(numbers))) else []
        ends = {"response.completed", "response.incomplete", "response.failed"}
        wrong += ["no end"] if found[-1][0] not in ends else []
    if path in ("/v1/responses", "/v1/messages"):
        wrong += [f"event {name} of type {event.get('type')}" for name, event in found if name != event.get("type")]
    return wrong
