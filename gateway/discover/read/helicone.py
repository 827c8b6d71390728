"""Helicone's export (`npx @helicone/export --include-body --format jsonl`), or its API's answer: HeliconeRequest
objects. Without `--include-body` the bodies are links, and there is nothing to learn from. `cost` is in dollars."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.discover.read.exchange import (
    CACHED,
    FAILED,
    NOT_CHAT,
    Exchange,
    SkippedRecord,
    an_object,
    dollars,
    parsed,
    seconds,
    tokens,
)

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
