"""One row of the ledger: what a request was, what was decided, what it cost and what it saved."""

from typing import Final, Literal

from msgspec import Struct

Decided = Literal["forward", "answer", "redact", "block", "error", "judge", "repeat"]
UsageSource = Literal["reported", "estimated", "missing", "none"]
SavedReason = Literal["local_answer", "block", "cheaper_route", "judge", "repeat"]

ASIDE: Final[frozenset[str]] = frozenset({"judge", "repeat"})
"""Decisions, and reasons, of calls that no client asked for: to a judge, or to the reference a second time."""


class Record(Struct, kw_only=True):
    """Columns as they are stored. Times in seconds, money in dollars, `at` in Unix seconds.

    usage_source: reported by the upstream; estimated, of an answer or block made here (its tokens are in saved_*);
    missing (forwarded, but not reported); none (no call).
    spent_usd: None where the price or the usage is unknown. notional: nobody is charged (echo upstream).
    redacted: how many places of each kind were replaced, as `card:1,email:2`; never what stood there.
    saved_*: against the model that the client asked for; of a block they are kept apart by saved_reason. A call to a
    judge, or one that is sent a second time, has a row of its own; nobody asked for it, so what it cost is taken off
    what is saved.
    judged: what judges said of the request, as `rule:label`, `rule:safe` or `rule:` and how the question failed.
    """

    request_id: str
    at: float
    endpoint: str
    consumer: str = "anonymous"
    requested_model: str = ""
    upstream: str = ""
    upstream_model: str = ""
    answered_model: str = ""
    stream: bool = False
    status: int = 200
    decision: Decided = "forward"
    rule: str = ""
    label: str = ""
    confidence: float | None = None
    classifier: str = ""
    classifier_version: str = ""
    flags: str = ""
    abstentions: str = ""
    error: str = ""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    usage_source: UsageSource = "none"
    spent_usd: float | None = 0.0
    notional: bool = False
    saved_reason: SavedReason | None = None
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    saved_usd: float | None = 0.0
    saved_estimated: bool = False
    gateway_s: float = 0.0
    classifier_s: float | None = None
    provider_s: float | None = None
    first_token_s: float | None = None
    redacted: str = ""
    judged: str = ""


COLUMNS = Record.__struct_fields__
