"""Logs as other programs write them, made from the starter policies' own rows, whose labels are known."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.discover.calls import Exchange, Log, LoggedCall, call_of
from gateway.discover.logs import read_files
from tests.given import table

ROWS = Path(__file__).parents[3] / "config" / "policies" / "data"
START = 1_760_000_000
SYSTEM = "You sort the messages that reach an online shop.\nSay whether a message is about the shop."
SCHEMA = table("given/gateway-discover-logs-schema.yaml")
HARMS = ("harassment", "illicit", "self-harm", "violence")
PROMPT = (
    "Which of these does the text below ask for or show: harassment, illicit, self-harm, violence?\n"
    "Answer with one word.\n\nText:\n{text}\n---\nAnswer:"
)


@dataclass(frozen=True)
class Pair:
    """A request's body, its answer's body, and when it was sent."""

    request: dict[str, Any]
    response: dict[str, Any]
    at: int


def pair(request: dict[str, Any], content: str, at: int = START) -> Pair:
    """A request with what a model answers."""
    response = {
        "id": f"chatcmpl-{at}",
        "object": "chat.completion",
        "created": at,
        "model": request.get("model", "gpt-4o"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
    }
    return Pair(request, response, at)


def stream(content: str, usage: dict[str, Any] | None = None) -> str:
    """The events of an answer, a letter in each, and its usage in one of its own."""
    parts: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": letter}}]} for letter in content]
    parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage is not None:
        parts.append({"choices": [], "usage": usage})
    return "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n"


def user(text: str, system: str = "", **fields: Any) -> dict[str, Any]:
    """A request with one user's message."""
    messages = [{"role": "system", "content": system}] if system else []
    return {"model": "gpt-4o", "messages": [*messages, {"role": "user", "content": text}], **fields}


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a starter policy."""
    return [json.loads(line) for line in (ROWS / f"{name}.jsonl").read_text("utf-8").splitlines()]


def shop_calls(count: int) -> Iterator[tuple[str, str]]:
    """(text, the label as the model spells it): whether a message is about the shop."""
    for row in random.Random(1).sample(rows("off-topic"), count):
        yield row["text"], "Off topic" if row["labels"] else "Shop"


def harm_calls(count: int) -> Iterator[tuple[str, str]]:
    """(text, label): which harm a text shows."""
    fitting = [row for row in rows("harmful-content") if row["labels"] and row["labels"][0] in HARMS]
    for row in random.Random(2).sample(fitting, count):
        yield row["text"], row["labels"][0]


def two_templates(each: int) -> list[Pair]:
    """Calls of two templates, shuffled, ten minutes between them."""
    made = [
        (user(text, SYSTEM, response_format=SCHEMA), json.dumps({"about": label})) for text, label in shop_calls(each)
    ]
    made += [({**user(PROMPT.format(text=text)), "model": "gpt-4o-mini"}, label) for text, label in harm_calls(each)]
    random.Random(3).shuffle(made)
    return [pair(request, content, START + 600 * index) for index, (request, content) in enumerate(made)]


def write(file: Path, records: Iterable[Any]) -> Path:
    """One JSON object a line."""
    file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return file


def read(*files: Path) -> Log:
    """Exported files as a log."""
    log = Log()
    read_files(files, log, lambda _done: None)
    return log


def calls_of(pairs: Iterable[Pair]) -> list[LoggedCall]:
    """Pairs as calls of a log."""
    return [
        call_of(Exchange(request=one.request, response=one.response, at=float(one.at)), f"log:{number}")
        for number, one in enumerate(pairs)
    ]
