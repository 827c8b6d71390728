"""OpenAI's own forms: pairs of request and response, chats that end with the answer, stored completions.

Pairs: `{"request": …, "response": …}` (also `input` and `output`), each a body or an object with a `body`. Chats:
`{"messages": [… , {"role": "assistant", …}]}`, as for fine-tuning and distillation. Stored completions: an object
`chat.completion` with the `messages` (or `input_messages`, `input`) that it answers. A batch's two files are joined
by `custom_id`; that needs both, so it is done in `batch`.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.discover.read.exchange import (
    FAILED,
    NO_ANSWER,
    NOT_CHAT,
    Exchange,
    SkippedRecord,
    an_object,
    parsed,
    seconds,
    tokens,
)

_PAIRS: Final = (("request", "response"), ("input", "output"))
_PROMPTS: Final = ("messages", "input_messages", "input")


def is_pair(record: Mapping[str, Any]) -> bool:
    """Whether a record holds a request and its response."""
    return any(one in record and other in record for one, other in _PAIRS)


def of_pair(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    one, other = next(pair for pair in _PAIRS if pair[0] in record and pair[1] in record)
    at = next((record[name] for name in ("created_at", "timestamp", "created", "at") if record.get(name)), None)
    return _exchange(body(record[one], one), body(record[other], other), seconds(at, "created_at"))


def is_stored(record: Mapping[str, Any]) -> bool:
    """Whether a record is a completion with what it answers."""
    return isinstance(record.get("choices"), list) and any(isinstance(record.get(name), list) for name in _PROMPTS)


def of_stored(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    messages = next(record[name] for name in _PROMPTS if isinstance(record.get(name), list))
    shape = ("response_format", "tools", "tool_choice", "functions", "function_call", "max_tokens", "stop")
    request = {
        "messages": messages,
        "model": record.get("model"),
        **{key: record[key] for key in shape if key in record},
    }
    return _exchange(request, record, None)


def is_chat(record: Mapping[str, Any]) -> bool:
    """Whether a record is messages whose last is the answer."""
    return isinstance(record.get("messages"), list)


def of_chat(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord."""
    *messages, last = record["messages"] or [None]
    if not isinstance(last, dict) or last.get("role") != "assistant":
        raise SkippedRecord(NO_ANSWER)
    finish = "tool_calls" if last.get("tool_calls") else "stop"
    response = {"choices": [{"index": 0, "message": last, "finish_reason": finish}]}
    return _exchange({**record, "messages": messages}, response, seconds(record.get("created"), "created"))


def is_batch(record: Mapping[str, Any]) -> bool:
    """Whether a record is a line of a batch's input or output file."""
    return "custom_id" in record and ("body" in record or "response" in record)


def of_batch(asked: Mapping[str, Any], answered: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    if not str(asked.get("url") or "/v1/chat/completions").endswith("/chat/completions"):
        raise SkippedRecord(NOT_CHAT)
    response = an_object(answered.get("response"), "response")
    if answered.get("error") or response.get("status_code", 200) != 200:
        raise SkippedRecord(FAILED)
    return _exchange(an_object(asked["body"], "body"), an_object(response.get("body"), "response.body"), None)


def body(value: Any, name: str) -> Any:
    """A body, also where it stands in an object with a status. Raises SkippedRecord and UnreadableRecord."""
    found = parsed(value, name)
    if isinstance(found, dict) and "body" in found:
        if not 200 <= (tokens(found.get("status_code")) or 200) < 300:
            raise SkippedRecord(FAILED)
        return parsed(found["body"], f"{name}.body")
    return found


def _exchange(request: Any, response: Any, at: float | None) -> Exchange:
    if at is None and isinstance(response, dict):
        at = seconds(response.get("created"), "created")
    return Exchange(request=an_object(request, "request"), response=response, at=at)
