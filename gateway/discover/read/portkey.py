"""Portkey's log export (JSONL). Which fields a line has is chosen at the export: `request`, `response` and `created_at`
are needed here, `ai_model`, `req_units`, `res_units` and `cost` (in cents) help. Older exports name the first two
`request.body` and `response.body`; names may be in capitals."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.discover.read.exchange import (
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
