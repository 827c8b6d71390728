"""OpenAI's own forms: pairs of request and response, chats that end with the answer, stored completions.

Pairs: `{"request": …, "response": …}` (also `input` and `output`), each a body or an object with a `body`. Chats:
`{"messages": [… , {"role": "assistant", …}]}`, as for fine-tuning and distillation. Stored completions: an object
`chat.completion` with the `messages` (or `input_messages`, `input`) that it answers. A batch's two files are joined
by `custom_id`; that needs both, so it is done in `batch`.

Lines of batches, joined by `custom_id` once all files are read. It is unique within one batch only.

Helicone's export (`npx @helicone/export --include-body --format jsonl`), or its API's answer: HeliconeRequest
objects. Without `--include-body` the bodies are links, and there is nothing to learn from. `cost` is in dollars.

LiteLLM: rows of its table LiteLLM_SpendLogs (as JSON), and the payloads that its S3 and GCS loggers write.

The prompt is in `proxy_server_request` or `messages`, the answer in `response`; both only where
`store_prompts_in_spend_logs` is set. `spend` and `response_cost` are dollars.

Portkey's log export (JSONL). Which fields a line has is chosen at the export: `request`, `response` and `created_at`
are needed here, `ai_model`, `req_units`, `res_units` and `cost` (in cents) help. Older exports name the first two
`request.body` and `response.body`; names may be in capitals.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.discover.calls import (
    CACHED,
    CUT,
    FAILED,
    NO_ANSWER,
    NO_TEXT,
    NOT_CHAT,
    Exchange,
    SkippedRecord,
    an_object,
    dollars,
    parsed,
    seconds,
    tokens,
)

Line = Mapping[str, Any]

_NO_REQUEST: Final = "batch answers without their request: name the batch's input file too"
_NO_RESPONSE: Final = "batch requests without their answer: name the batch's output file too"
_AMBIGUOUS: Final = (
    "batch answers whose custom_id stands in more than one batch: read one batch at a time, or give each its own ids"
)


class Batches:
    """The lines so far, each waiting for its other half."""

    def __init__(self) -> None:
        self._asked: dict[str, list[Line]] = defaultdict(list)
        self._answered: dict[str, dict[str, tuple[str, Line]]] = defaultdict(dict)

    def take(self, place: str, line: Line) -> None:
        """A line of an input or an output file. An answer that is there again, in a copy of its file, counts once."""
        name = str(line["custom_id"])
        if "body" in line:
            self._asked[name].append(line)
        else:
            self._answered[name].setdefault(json.dumps(line, sort_keys=True), (place, line))

    def joined(self, skipped: Counter[str]) -> Iterator[tuple[str, Line, Line]]:
        """(the answer's place, request, answer) of all that certainly belong together; skipped counts the others."""
        for name, answers in self._answered.items():
            requests = self._asked.get(name, [])
            if not requests:
                skipped[_NO_REQUEST] += len(answers)
            elif len(answers) > len(requests) or any(one != requests[0] for one in requests):
                skipped[_AMBIGUOUS] += len(answers)
            else:
                yield from ((place, requests[0], answer) for place, answer in answers.values())
        if unanswered := len(self._asked.keys() - self._answered.keys()):
            skipped[_NO_RESPONSE] += unanswered


_LINKS = "bodies are links only: export with --include-body"
_NO_REFERENCE: Final = (None, "", "00000000-0000-0000-0000-000000000000")
"""Instead of the request whose answer was taken from the cache."""


def is_helicone(record: Mapping[str, Any]) -> bool:
    """Whether a record is of Helicone."""
    return "request_created_at" in record and ("request_body" in record or "signed_body_url" in record)


def of_helicone(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    if _failed(record.get("response_status")):
        raise SkippedRecord(FAILED)
    if record.get("cache_reference_id") not in _NO_REFERENCE:
        raise SkippedRecord(CACHED)
    if "/chat/completions" not in str(record.get("request_path") or "/chat/completions"):
        raise SkippedRecord(NOT_CHAT)
    request, response = an_object(record.get("request_body"), "request_body"), record.get("response_body")
    if "messages" not in request or not response:
        raise SkippedRecord(_LINKS if record.get("signed_body_url") else NOT_CHAT)
    cost = record.get("cost") if record.get("cost") is not None else record.get("costUSD")
    return Exchange(
        request=request,
        response=parsed(response, "response_body"),
        at=seconds(record.get("request_created_at"), "request_created_at"),
        model=str(request.get("model") or record.get("request_model") or record.get("model") or ""),
        input_tokens=tokens(record.get("prompt_tokens")),
        output_tokens=tokens(record.get("completion_tokens")),
        reported_usd=dollars(cost),
    )


def _failed(status: Any) -> bool:
    """Below 0 are Helicone's own: timed out, pending, cancelled, held for a threat."""
    own = isinstance(status, int | float) and status < 0
    return own or not 200 <= (tokens(status) or 200) < 300


_CHAT: Final = frozenset({"completion", "acompletion", ""})
_CUT: Final = "litellm_truncated"


def is_litellm(record: Mapping[str, Any]) -> bool:
    """Whether a record is of LiteLLM."""
    return "call_type" in record and ("spend" in record or "response_cost" in record)


def of_litellm(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    if str(record["call_type"]) not in _CHAT:
        raise SkippedRecord(NOT_CHAT)
    if record.get("status") == "failure":
        raise SkippedRecord(FAILED)
    if str(record.get("cache_hit")).lower() == "true":
        raise SkippedRecord(CACHED)
    request = dict(an_object(record.get("proxy_server_request"), "proxy_server_request"))
    if not request.get("messages"):
        parameters = an_object(record.get("model_parameters"), "model_parameters")
        request = {**parameters, "messages": parsed(record.get("messages"), "messages")}
    response = parsed(record.get("response"), "response")
    if not request["messages"] or not response:
        raise SkippedRecord(NO_TEXT)
    if _CUT in json.dumps(request["messages"]) or _CUT in json.dumps(response):
        raise SkippedRecord(CUT)
    return Exchange(
        request=request,
        response=response,
        at=seconds(record.get("startTime"), "startTime"),
        model=str(record.get("model_group") or request.get("model") or record.get("model") or ""),
        input_tokens=tokens(record.get("prompt_tokens")),
        output_tokens=tokens(record.get("completion_tokens")),
        reported_usd=dollars(record.get("spend", record.get("response_cost"))),
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


_OWN: Final = frozenset({"ai_model", "ai_org", "ai_provider", "req_units", "res_units"})


def is_portkey(record: Mapping[str, Any]) -> bool:
    """Whether a record is of Portkey."""
    return not _OWN.isdisjoint(name.lower() for name in record)


def of_portkey(record: Mapping[str, Any]) -> Exchange:
    """Raises SkippedRecord and UnreadableRecord."""
    row = {name.lower(): value for name, value in record.items()}
    status = tokens(row.get("response_status_code", row.get("status_code"))) or 200
    if not 200 <= status < 300 or str(row.get("is_success", 1)).lower() in ("0", "false"):
        raise SkippedRecord(FAILED)
    url = str(row.get("request_url") or "")
    if url and "/chat/completions" not in url and "/deployments/" not in url:
        raise SkippedRecord(NOT_CHAT)
    request, response = _body(row, "request"), _body(row, "response")
    if not request or not response:
        raise SkippedRecord(NO_TEXT)
    asked = an_object(request, "request")
    return Exchange(
        request=asked,
        response=response,
        at=seconds(row.get("created_at"), "created_at"),
        model=str(asked.get("model") or row.get("ai_model") or ""),
        input_tokens=tokens(row.get("req_units", row.get("request_tokens"))),
        output_tokens=tokens(row.get("res_units", row.get("response_tokens"))),
        reported_usd=dollars(row.get("cost"), scale=0.01),
    )


def _body(row: Mapping[str, Any], name: str) -> Any:
    found = parsed(row.get(name, row.get(f"{name}.body")), name)
    return parsed(found["body"], f"{name}.body") if isinstance(found, dict) and "body" in found else found
