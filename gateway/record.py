"""One row of the ledger: a request, the decision on it, its cost and its saving."""

import re
from typing import Final, Literal

from msgspec import Struct

from gateway.errors import CLIENT_CLOSED, AnswerLost, InternalError, Unavailable, UpstreamFailed, UpstreamTimeout

Decided = Literal["forward", "answer", "redact", "block", "error", "judge", "repeat"]
UsageSource = Literal["reported", "estimated", "missing", "none"]
SavedReason = Literal["local_answer", "block", "cheaper_route", "judge", "repeat"]

PASSED: Final = "passthrough"
"""The endpoint of calls that are passed on unread, so that nobody knows what they cost."""
ASIDE: Final[frozenset[str]] = frozenset({"judge", "repeat"})
"""Decisions and reasons of calls that no client asked for: to a judge, or a call sent a second time."""
_ON_ITS_WAY: Final = frozenset({CLIENT_CLOSED, UpstreamTimeout.status})
_ENDED_HERE: Final = frozenset({InternalError.status, Unavailable.status})
"""With an error: the gateway's own fault, or the end of the time to drain. Without one: the upstream's own status."""
_BROKE_OFF: Final = frozenset({UpstreamFailed.code, AnswerLost.code, UpstreamTimeout.code})


class Record(Struct, kw_only=True):
    """Columns as they are stored. Times in seconds, money in dollars, `at` in Unix seconds.

    usage_source: reported by the upstream; estimated (an answer or block made here, its tokens in saved_*); missing
    (forwarded, but not reported); none (no call).
    spent_usd: None where the price or the usage is unknown. notional: nobody is charged (echo upstream).
    redacted: the number of places replaced of each kind, as `card:1,email:2`; never their content.
    known_*: the name under which sums count the model, where that is another: a priced one without its provider, or
    `other` for one that is neither configured nor priced, so that clients cannot invent names.
    saved_*: against the model that the client asked for; saved_reason tells blocks apart. A call to a judge, or one
    that is sent a second time, has a row of its own: its cost is a negative saving.
    verdicts: what each rule made of the request, in order, and then of the answer, as `rule:label:score`; in doubt also
    `:abstention`, and `:clean` where it names no label, which is the likeliest then. `rule:!part` where a part of its
    `when` does not hold.
    service_tier: at which price the upstream served the call, as it says.
    judged: the judges' verdicts on the request, as `rule:label`, `rule:safe`, or `rule:` and how the question failed.
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
    cache_write_tokens: int = 0
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
    verdicts: str = ""
    service_tier: str = ""
    known_model: str | None = None
    known_upstream_model: str | None = None


def made_by(rule: str = r"[\w.-]+") -> re.Pattern[str]:
    """Finds in a record's `verdicts` what a rule made of the call, or each rule: (rule, part of its `when` that does
    not fit, label, score, what follows these). A label may have any signs."""
    return re.compile(rf"(?:^|,)({rule}):(?:!([^,]*)|(.*?):([01](?:\.\d+)?)((?::\w+)*))(?=,|$)")


def may_have_cost(record: Record) -> bool:
    """Whether the upstream took the call, or may have taken it, though it reported no usage."""
    return record.status < 400 or record.decision == "block" or _ended_on_its_way(record)


def why_unknown(record: Record) -> str:
    """Why a record has no cost: `no_price`; `cut_off`, so that its upstream could report no usage (or an earlier target
    could not, where this one refused the call); or `not_reported`."""
    if record.usage_source != "missing":
        return "no_price"
    cut_off = not may_have_cost(record) or _ended_on_its_way(record) or record.error in _BROKE_OFF
    return "cut_off" if cut_off else "not_reported"


def _ended_on_its_way(record: Record) -> bool:
    ended_here = bool(record.error) and record.status in _ENDED_HERE
    return ended_here or record.status in _ON_ITS_WAY or record.error == AnswerLost.code
