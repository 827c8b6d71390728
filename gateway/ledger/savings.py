"""What a call that was not made would have used, estimated from calls that were made. Pure.

A call answered or blocked here has no reported usage. Its input tokens are estimated from the bytes of its prompt, by
the ratio that upstreams reported for calls of the same rule and model; its output tokens from the bytes that are given
here, by the ratio of what the model wrote for calls of that rule to what would have been given instead. Both are marked
as estimates wherever they are shown. The provider would have taken some of the input from its cache: the share that it
reported for calls of the same rule and model.

Which calls without usage may have cost something, and why a cost is not known. Pure.

A period's ledger sums → what was spent and saved. Pure: the same rows give the same figures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.context import CLIENT_CLOSED
from gateway.errors import AnswerLost, InternalError, Unavailable, UpstreamFailed, UpstreamTimeout
from gateway.ledger.record import ASIDE, Record

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


BYTES_PER_TOKEN: Final = 4.0
"""English text under the common tokenizers, until calls of the model itself have been seen."""
_PRIOR_TOKENS: Final = 1000.0
_PRIOR_OUTPUT_TOKENS: Final = 50.0
"""A label is a few tokens: some twenty calls weigh as much as what was supposed before."""


@dataclass(slots=True)
class _UsageSeen:
    """Bytes and the tokens that they were, some of them out of a cache. weight: how many tokens' worth of what is
    supposed they stand against."""

    weight: float
    bytes: float = 0.0
    tokens: float = 0.0
    cached: float = 0.0

    def add(self, size: float, tokens: float, cached: float = 0.0) -> None:
        self.bytes += size
        self.tokens += tokens
        self.cached += cached

    def tokens_per_byte(self, supposed: float) -> float:
        return (self.tokens + self.weight) / (self.bytes + self.weight / supposed)

    def cached_share(self) -> float:
        """Supposed are none."""
        return self.cached / (self.tokens + self.weight)


class UsageRatios:
    """Tokens per byte for each model, and for each rule and model, from what upstreams report since the start. Holds a
    bounded number of models; those beyond share one ratio.
    """

    def __init__(self, most_models: int = 200) -> None:
        self._models: dict[str, _UsageSeen] = {}
        self._rest = _UsageSeen(_PRIOR_TOKENS)
        self._given: dict[tuple[str, str], _UsageSeen] = {}
        self._made: dict[tuple[str, str], _UsageSeen] = {}
        self._most = most_models

    def learn(
        self,
        model: str,
        rules: Mapping[str, int],
        *,
        prompt_bytes: int,
        input_tokens: int,
        output_tokens: int,
        cached_input_tokens: int = 0,
    ) -> None:
        """Takes one forwarded call's reported usage; cached_input_tokens are a part of input_tokens. rules: those that
        it met, each with the bytes that would have been given here instead; 0 where that is not known."""
        seen = self._models.get(model)
        if seen is None:
            if len(self._models) >= self._most:
                self._rest.add(prompt_bytes, input_tokens)
                return
            seen = self._models[model] = _UsageSeen(_PRIOR_TOKENS)
        seen.add(prompt_bytes, input_tokens)
        for rule, instead_bytes in rules.items():
            self._given.setdefault((rule, model), _UsageSeen(_PRIOR_TOKENS)).add(
                prompt_bytes, input_tokens, cached_input_tokens
            )
            if instead_bytes:
                self._made.setdefault((rule, model), _UsageSeen(_PRIOR_OUTPUT_TOKENS)).add(instead_bytes, output_tokens)

    def input_tokens(self, model: str, rule: str, prompt_bytes: int) -> int:
        """The estimate for a call that was not made; at least 1."""
        ratio = self._models.get(model, self._rest).tokens_per_byte(1 / BYTES_PER_TOKEN)
        seen = self._given.get((rule, model))
        return max(1, round(prompt_bytes * (ratio if seen is None else seen.tokens_per_byte(ratio))))

    def cached_input_tokens(self, model: str, rule: str, input_tokens: int) -> int:
        """How many of a call's input tokens would have come out of the provider's cache: 0..input_tokens."""
        seen = self._given.get((rule, model))
        return 0 if seen is None else round(input_tokens * seen.cached_share())

    def output_tokens(self, model: str, rule: str, instead_bytes: int) -> int:
        """The estimate for what the model would have written instead of what is given here; at least 1."""
        seen = self._made.get((rule, model))
        ratio = 1 / BYTES_PER_TOKEN
        return max(1, round(instead_bytes * (ratio if seen is None else seen.tokens_per_byte(ratio))))


_WHAT: Final = {
    ("answer", "local_answer"): "answered here",
    ("answer", None): "asked a classifier directly",
    ("block", "block"): "blocked",
    ("block", None): "blocked after the model's answer",
    ("forward", None): "forwarded",
    ("forward", "cheaper_route"): "forwarded to another model",
    ("redact", None): "forwarded redacted",
    ("redact", "cheaper_route"): "forwarded redacted to another model",
    ("error", None): "failed",
    ("judge", "judge"): "asked a judge",
    ("repeat", "repeat"): "asked a second time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Requests that went the same way under the same rule."""

    what: str
    rule: str
    reason: str | None
    calls: int
    saved_calls: int
    saved_input_tokens: int
    saved_output_tokens: int
    spent_usd: float
    saved_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A period. A block is no saved call: its money is kept apart in blocked_usd. calls: of clients, not to judges
    nor those that were sent a second time; what these cost is in spent_usd, and taken off saved_usd. notional_*: the
    part for which nobody was charged."""

    lines: Sequence[Line]
    calls: int
    saved_calls: int
    saved_tokens: int
    spent_usd: float
    saved_usd: float
    blocked_calls: int
    blocked_usd: float
    notional_calls: int
    notional_spent_usd: float
    notional_saved_usd: float
    estimated_calls: int
    unpriced_calls: int
    usage_missing_calls: int
    judge_calls: int
    judge_usd: float
    repeat_calls: int
    repeat_usd: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def notes(self) -> Iterator[str]:
        """What a reader of the figures must know."""
        if self.notional_calls:
            yield (
                f"{self.notional_calls:,} of {self.calls:,} calls went to the echo upstream or were answered in front "
                "of it"
            )
        if self.notional_spent_usd or self.notional_saved_usd:
            yield (
                f"${self.notional_spent_usd:.6f} of the dollars spent and ${self.notional_saved_usd:.6f} of the "
                "dollars saved are notional: nobody was charged"
            )
        if self.estimated_calls:
            yield f"tokens of {self.estimated_calls:,} calls that were not made are estimates"
        if self.blocked_calls:
            yield (
                f"{self.blocked_calls:,} blocked calls would have cost ${self.blocked_usd:.6f}; "
                "blocks are not counted as savings"
            )
        if self.unpriced_calls:
            yield (
                f"{self.unpriced_calls:,} calls have no known price or usage: what they cost, or what they saved, "
                "is in no dollar figure"
            )
        if self.usage_missing_calls:
            yield f"{self.usage_missing_calls:,} forwarded calls were cut off, or came back without usage"
        if self.judge_calls:
            yield (
                f"judges were asked {self.judge_calls:,} times, for ${self.judge_usd:.6f}, which is spent and taken "
                "off what was saved"
            )
        if self.repeat_calls:
            yield (
                f"{self.repeat_calls:,} calls under contracts were sent a second time, for ${self.repeat_usd:.6f}, "
                "which is spent and taken off what was saved"
            )


def summarise(rows: Sequence[Mapping[str, Any]]) -> Summary:
    """The sums of Store.summary as a report."""
    lines = _merge(_line(row) for row in rows)
    counted = [line for line in lines if line.reason != "block"]
    blocked = [line for line in lines if line.reason == "block"]
    judged = [line for line in lines if line.reason == "judge"]
    repeated = [line for line in lines if line.reason == "repeat"]
    notional = [row for row in rows if row["notional"]]
    return Summary(
        lines=lines,
        calls=sum(line.calls for line in lines if line.reason not in ASIDE),
        saved_calls=sum(line.saved_calls for line in lines),
        saved_tokens=sum(line.saved_input_tokens + line.saved_output_tokens for line in counted),
        spent_usd=sum(line.spent_usd for line in lines),
        saved_usd=sum(line.saved_usd for line in counted),
        blocked_calls=sum(line.calls for line in blocked),
        blocked_usd=sum(line.saved_usd for line in blocked),
        notional_calls=sum(row["calls"] for row in notional if row["saved_reason"] not in ASIDE),
        notional_spent_usd=sum(row["spent_usd"] for row in notional),
        notional_saved_usd=sum(row["saved_usd"] for row in notional if row["saved_reason"] != "block"),
        estimated_calls=sum(row["estimated"] for row in rows),
        unpriced_calls=sum(row["unpriced"] for row in rows),
        usage_missing_calls=sum(row["usage_missing"] for row in rows),
        judge_calls=sum(line.calls for line in judged),
        judge_usd=sum(line.spent_usd for line in judged),
        repeat_calls=sum(line.calls for line in repeated),
        repeat_usd=sum(line.spent_usd for line in repeated),
    )


def _line(row: Mapping[str, Any]) -> Line:
    reason = row["saved_reason"]
    return Line(
        what=_WHAT.get((row["decision"], reason), row["decision"]),
        rule=row["rule"],
        reason=reason,
        calls=row["calls"],
        saved_calls=row["calls"] if reason == "local_answer" else 0,
        saved_input_tokens=row["saved_input_tokens"],
        saved_output_tokens=row["saved_output_tokens"],
        spent_usd=row["spent_usd"],
        saved_usd=row["saved_usd"],
    )


def _merge(lines: Iterator[Line]) -> list[Line]:
    """One line for each way and rule, over models."""
    merged: dict[tuple[str, str], Line] = {}
    for line in lines:
        key = (line.what, line.rule)
        before = merged.get(key)
        merged[key] = line if before is None else _sum(before, line)
    return sorted(merged.values(), key=lambda line: (-line.calls, line.what, line.rule))


def _sum(one: Line, other: Line) -> Line:
    return Line(
        what=one.what,
        rule=one.rule,
        reason=one.reason,
        calls=one.calls + other.calls,
        saved_calls=one.saved_calls + other.saved_calls,
        saved_input_tokens=one.saved_input_tokens + other.saved_input_tokens,
        saved_output_tokens=one.saved_output_tokens + other.saved_output_tokens,
        spent_usd=one.spent_usd + other.spent_usd,
        saved_usd=one.saved_usd + other.saved_usd,
    )
