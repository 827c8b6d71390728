"""LiteLLM: rows of its table LiteLLM_SpendLogs (as JSON), and the payloads that its S3 and GCS loggers write.

The prompt is in `proxy_server_request` or `messages`, the answer in `response`; both only where
`store_prompts_in_spend_logs` is set. `spend` and `response_cost` are dollars.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.discover.read.exchange import (
    CACHED,
    CUT,
    FAILED,
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
