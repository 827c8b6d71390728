"""Which calls without usage may have cost something, and why a cost is not known. Pure."""

from typing import Final

from gateway.errors import AnswerLost, InternalError, Unavailable, UpstreamFailed, UpstreamTimeout
from gateway.ledger.record import Record
from gateway.types import CLIENT_CLOSED

_ON_ITS_WAY: Final = frozenset({CLIENT_CLOSED, UpstreamTimeout.status})
_ENDED_HERE: Final = frozenset({InternalError.status, Unavailable.status})
"""With an error: a fault of the gateway's own, or the end of the time to drain, whatever the upstream made of the call.
Without one, it is the upstream's own status."""
_BROKE_OFF: Final = frozenset({UpstreamFailed.code, AnswerLost.code, UpstreamTimeout.code})


def may_have_cost(record: Record) -> bool:
    """Whether the call of the record, whose usage nobody told, was taken by its upstream, or may have been."""
    return record.status < 400 or record.decision == "block" or _ended_on_its_way(record)


def why_unknown(record: Record) -> str:
    """Of a record without a cost: there is no price; a call was cut off, so that nobody could report its usage (where
    this one was refused, one to a target before it); or its upstream answered and did not."""
    if record.usage_source != "missing":
        return "no_price"
    cut_off = not may_have_cost(record) or _ended_on_its_way(record) or record.error in _BROKE_OFF
    return "cut_off" if cut_off else "not_reported"


def _ended_on_its_way(record: Record) -> bool:
    ended_here = bool(record.error) and record.status in _ENDED_HERE
    return ended_here or record.status in _ON_ITS_WAY or record.error == AnswerLost.code
