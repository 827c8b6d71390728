"""The log formats that `offramp discover` reads, as one table of field names.

- Helicone's export with `--include-body`, and its API's answers.
- LiteLLM: rows of LiteLLM_SpendLogs as JSON with `store_prompts_in_spend_logs`; payloads of its S3 and GCS loggers.
- Portkey's log export. Older ones call the bodies `request.body` and `response.body`; names may be in capitals.
- OpenAI: pairs of request and response, chats that end with the answer, and stored completions.
- OpenAI's batches: two files whose lines are joined by `custom_id`, which is unique within one batch only.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.discover import calls

Line = Mapping[str, Any]
Names = tuple[str, ...]
Skip = tuple[Names, Callable[[Any], bool], str]
"""Fields, a test of the first that is filled, and why a record is skipped that passes it."""

_LINKS: Final = "bodies are links only: export with --include-body"
_NO_REQUEST: Final = "batch answers without their request: name the batch's input file too"
_NO_RESPONSE: Final = "batch requests without their answer: name the batch's output file too"
_AMBIGUOUS: Final = (
    "batch answers whose custom_id stands in more than one batch: read one batch at a time, or give each its own ids"
)
_NO_REFERENCE: Final = "00000000-0000-0000-0000-000000000000"
_PROMPTS: Final = ("messages", "input_messages", "input")


def _failed(status: Any) -> bool:
    """Below 0 are Helicone's own: timed out, pending, cancelled, held for a threat."""
    return (isinstance(status, int | float) and status < 0) or not 200 <= (calls.tokens(status) or 200) < 300


def _no_chat(url: Any) -> bool:
    return "/chat/completions" not in str(url) and "/deployments/" not in str(url)


def _litellm(record: Line) -> Line:
    """The request as the proxy got it, or put together from its parts."""
    request = calls.json_object(record.get("proxy_server_request"), "proxy_server_request")
    if not request.get("messages"):
        options = calls.json_object(record.get("model_parameters"), "model_parameters")
        messages = calls.json_value(record.get("messages"), "messages")
        request = {**options, "messages": messages} if messages else {}
    return {**record, "proxy_server_request": request}


def _stored(record: Line) -> Line:
    messages = next((record[name] for name in _PROMPTS if isinstance(record.get(name), list)), None)
    if not isinstance(record.get("choices"), list) or messages is None:
        return {}
    return {"request": {**record, "messages": messages}, "response": record}


def _chat(record: Line) -> Line:
    if not isinstance(record.get("messages"), list):
        return {}
    *messages, last = record["messages"] or [None]
    if not isinstance(last, dict) or last.get("role") != "assistant":
        raise calls.SkippedRecord(calls.NO_ANSWER)
    finish = "tool_calls" if last.get("tool_calls") else "stop"
    response = {"choices": [{"index": 0, "message": last, "finish_reason": finish}]}
    return {"request": {**record, "messages": messages}, "response": response, "created": record.get("created")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """Where the records of one log keep the parts of a call. Of several names the first filled field counts.

    signs: a record of this format has a field of each set.
    rewrite: gives a record the fields named here; it is empty where the record is of another format after all.
    missing: the reason to skip a record without request or response. truncated: a word that marks a cut text.
    dollars: the worth of one unit of `cost`.
    """

    signs: tuple[frozenset[str], ...]
    skips: tuple[Skip, ...] = ()
    rewrite: Callable[[Line], Line] = dict
    request: Names = ("request",)
    response: Names = ("response",)
    missing: str = ""
    truncated: str = ""
    time: Names = ("created_at", "timestamp", "created", "at", "response.created")
    model: Names = ("request.model",)
    input_tokens: Names = ()
    output_tokens: Names = ()
    cost: Names = ()
    dollars: float = 1.0


_PAIR: Final = LogFormat(signs=(frozenset({"request"}), frozenset({"response"})))
FORMATS: Final = (
    LogFormat(  # Helicone
        signs=(frozenset({"request_created_at"}), frozenset({"request_body", "signed_body_url"})),
        skips=(
            (("response_status",), _failed, calls.FAILED),
            (("cache_reference_id",), lambda key: key != _NO_REFERENCE, calls.CACHED),
            (("request_path",), _no_chat, calls.NOT_CHAT),
        ),
        request=("request_body",),
        response=("response_body",),
        missing=_LINKS,
        time=("request_created_at",),
        model=("request.model", "request_model", "model"),
        input_tokens=("prompt_tokens",),
        output_tokens=("completion_tokens",),
        cost=("cost", "costUSD"),
    ),
    LogFormat(  # LiteLLM
        signs=(frozenset({"call_type"}), frozenset({"spend", "response_cost"})),
        skips=(
            (("call_type",), lambda kind: kind not in ("completion", "acompletion"), calls.NOT_CHAT),
            (("status",), lambda status: status == "failure", calls.FAILED),
            (("cache_hit",), lambda hit: str(hit).lower() == "true", calls.CACHED),
        ),
        rewrite=_litellm,
        request=("proxy_server_request",),
        missing=calls.NO_TEXT,
        truncated="litellm_truncated",
        time=("startTime",),
        model=("model_group", "request.model", "model"),
        input_tokens=("prompt_tokens",),
        output_tokens=("completion_tokens",),
        cost=("spend", "response_cost"),
    ),
    LogFormat(  # Portkey
        signs=(frozenset({"ai_model", "ai_org", "ai_provider", "req_units", "res_units"}),),
        skips=(
            (("response_status_code", "status_code"), _failed, calls.FAILED),
            (("is_success",), lambda success: str(success).lower() in ("0", "false"), calls.FAILED),
            (("request_url",), _no_chat, calls.NOT_CHAT),
        ),
        request=("request", "request.body"),
        response=("response", "response.body"),
        missing=calls.NO_TEXT,
        time=("created_at",),
        model=("request.model", "ai_model"),
        input_tokens=("req_units", "request_tokens"),
        output_tokens=("res_units", "response_tokens"),
        cost=("cost",),
        dollars=0.01,
    ),
    _PAIR,
    LogFormat(signs=(frozenset({"input"}), frozenset({"output"})), request=("input",), response=("output",)),
    LogFormat(signs=(frozenset({"choices"}), frozenset(_PROMPTS)), rewrite=_stored),
    LogFormat(signs=(frozenset({"messages"}),), rewrite=_chat),
)


def exchange_of(record: Line) -> calls.Exchange | None:
    """A record by the first format that fits; None where none does. Raises SkippedRecord and UnreadableRecord."""
    # some exports write their fields' names in capitals
    record = {**{name.lower(): value for name, value in record.items()}, **record}
    for form in FORMATS:
        if any(record.keys().isdisjoint(sign) for sign in form.signs):
            continue
        for names, refuses, reason in form.skips:
            value = _first(record, names)
            if value is not None and refuses(value):
                raise calls.SkippedRecord(reason)
        if fields := form.rewrite(record):
            return _exchange(fields, form)
    return None


def _exchange(record: Line, form: LogFormat) -> calls.Exchange:
    request = calls.json_object(_body(record, form.request), form.request[0])
    response = _body(record, form.response)
    if form.missing and not (request and response):
        raise calls.SkippedRecord(form.missing)
    if form.truncated and form.truncated in json.dumps([request["messages"], response]):
        raise calls.SkippedRecord(calls.CUT)
    parts = {**record, "request": request, "response": response}
    times = (calls.seconds(_first(parts, (name,)), name) for name in form.time)
    return calls.Exchange(
        request=request,
        response=response,
        at=next((at for at in times if at is not None), None),
        model=str(_first(parts, form.model) or ""),
        input_tokens=calls.tokens(_first(parts, form.input_tokens)),
        output_tokens=calls.tokens(_first(parts, form.output_tokens)),
        reported_usd=calls.dollars(_first(parts, form.cost), scale=form.dollars),
    )


def _first(record: Line, names: Names) -> Any:
    """The first of the fields that is filled. `request.model` may be a name, or a field of a field."""
    for name in names:
        outer, _, inner = name.partition(".")
        held = record.get(outer)
        value = held.get(inner) if inner and name not in record and isinstance(held, dict) else record.get(name)
        if value is not None and value != "":
            return value
    return None


def _body(record: Line, names: Names) -> Any:
    """A body, also where it stands in an object with a status. Raises SkippedRecord and UnreadableRecord."""
    value = calls.json_value(_first(record, names), names[0])
    if isinstance(value, dict) and "body" in value:
        if _failed(value.get("status_code")):
            raise calls.SkippedRecord(calls.FAILED)
        return calls.json_value(value["body"], f"{names[0]}.body")
    return value


def is_batch(record: Line) -> bool:
    """Whether a record is a line of a batch's input or output file."""
    return "custom_id" in record and ("body" in record or "response" in record)


def of_batch(asked: Line, answered: Line) -> calls.Exchange:
    """A line of a batch's input file and one of its output. Raises SkippedRecord and UnreadableRecord."""
    if _no_chat(asked.get("url") or "/v1/chat/completions"):
        raise calls.SkippedRecord(calls.NOT_CHAT)
    if answered.get("error"):
        raise calls.SkippedRecord(calls.FAILED)
    return _exchange({"request": asked["body"], "response": answered.get("response")}, _PAIR)


class Batches:
    """The lines of batches so far, each waiting for its other half."""

    def __init__(self) -> None:
        self._asked: dict[str, list[Line]] = defaultdict(list)
        self._answered: dict[str, dict[str, tuple[str, Line]]] = defaultdict(dict)

    def take(self, place: str, line: Line) -> None:
        """Takes a line of an input or output file. An answer that is there twice counts once."""
        name = str(line["custom_id"])
        if "body" in line:
            self._asked[name].append(line)
        else:
            self._answered[name].setdefault(json.dumps(line, sort_keys=True), (place, line))

    def joined(self, skipped: Counter[str]) -> Iterator[tuple[str, Line, Line]]:
        """Gives (place of the answer, request, answer) of all that certainly belong together; counts the others."""
        for name, answers in self._answered.items():
            requests = self._asked.get(name, [])
            if not requests:
                skipped[_NO_REQUEST] += len(answers)
            elif len(answers) > len(requests) or any(other != requests[0] for other in requests):
                skipped[_AMBIGUOUS] += len(answers)
            else:
                yield from ((place, requests[0], answer) for place, answer in answers.values())
        if unanswered := len(self._asked.keys() - self._answered.keys()):
            skipped[_NO_RESPONSE] += unanswered
