"""What local answers save: estimates for calls that were not made, reasons for unknown costs, sums of a period. Pure.

A call answered or blocked here has no reported usage, so its usage is estimated, and marked as an estimate:

- input tokens: bytes of the prompt times the ratio that upstreams reported for calls of the same rule and model;
- cached input tokens: the share that the provider took from its cache in those calls;
- output tokens: bytes given here, times the ratio of tokens that the model wrote in calls of that rule to the bytes
  that would have been given instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from gateway.context import CLIENT_CLOSED
from gateway.errors import AnswerLost, InternalError, Unavailable, UpstreamFailed, UpstreamTimeout
from gateway.ledger.record import ASIDE, Record

_ON_ITS_WAY: Final = frozenset({CLIENT_CLOSED, UpstreamTimeout.status})
_ENDED_HERE: Final = frozenset({InternalError.status, Unavailable.status})
"""With an error: the gateway's own fault, or the end of the time to drain. Without one: the upstream's own status."""
_BROKE_OFF: Final = frozenset({UpstreamFailed.code, AnswerLost.code, UpstreamTimeout.code})


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


BYTES_PER_TOKEN: Final = 4.0
"""English text under the common tokenizers, until calls of the model itself have been seen."""
_PRIOR_TOKENS: Final = 1000.0
_PRIOR_OUTPUT_TOKENS: Final = 50.0
"""A label is a few tokens: some twenty calls weigh as much as the prior ratio."""


@dataclass(slots=True)
class _UsageSeen:
    """Bytes and their tokens, some of them out of a cache. weight: of the prior ratio, in tokens."""

    weight: float
    bytes: float = 0.0
    tokens: float = 0.0
    cached: float = 0.0

    def add(self, size: float, tokens: float, cached: float = 0.0) -> None:
        self.bytes += size
        self.tokens += tokens
        self.cached += cached

    def tokens_per_byte(self, prior: float) -> float:
        return (self.tokens + self.weight) / (self.bytes + self.weight / prior)

    def cached_share(self) -> float:
        """The prior is no cached token."""
        return self.cached / (self.tokens + self.weight)


class UsageRatios:
    """Tokens per byte of each model, and of each rule and model, as upstreams reported them since the start. Models
    beyond a bounded number share one ratio."""

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
        """Adds a forwarded call's reported usage; cached_input_tokens are a part of input_tokens. rules: that it met,
        each with the bytes that would have been given here instead; 0 where unknown."""
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


_SUMMED: Final = ("calls", "saved_calls", "saved_input_tokens", "saved_output_tokens", "spent_usd", "saved_usd")


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
    """A period. calls: of clients, without those to judges and those sent a second time; the cost of these is in
    spent_usd and taken off saved_usd. A block is no saved call: its money is in blocked_usd alone. notional_*: the part
    for which nobody was charged."""

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
        figures = asdict(self)
        for names, note in _NOTES:
            if any(figures[name] for name in names):
                yield note.format(**figures)


_NOTES: Final = (
    (
        ["notional_calls"],
        "{notional_calls:,} of {calls:,} calls went to the echo upstream or were answered in front of it",
    ),
    (
        ["notional_spent_usd", "notional_saved_usd"],
        (
            "${notional_spent_usd:.6f} of the dollars spent and ${notional_saved_usd:.6f} of the dollars saved are "
            "notional: nobody was charged"
        ),
    ),
    (["estimated_calls"], "tokens of {estimated_calls:,} calls that were not made are estimates"),
    (
        ["blocked_calls"],
        "{blocked_calls:,} blocked calls would have cost ${blocked_usd:.6f}; blocks are not counted as savings",
    ),
    (
        ["unpriced_calls"],
        (
            "{unpriced_calls:,} calls have no known price or usage: what they cost, or what they saved, is in no "
            "dollar figure"
        ),
    ),
    (["usage_missing_calls"], "{usage_missing_calls:,} forwarded calls were cut off, or came back without usage"),
    (
        ["judge_calls"],
        "judges were asked {judge_calls:,} times, for ${judge_usd:.6f}, which is spent and taken off what was saved",
    ),
    (
        ["repeat_calls"],
        (
            "{repeat_calls:,} calls under contracts were sent a second time, for ${repeat_usd:.6f}, which is spent and "
            "taken off what was saved"
        ),
    ),
)
"""Each note, with the figures of which one must not be 0."""


def summarise(rows: Sequence[Mapping[str, Any]]) -> Summary:
    """The sums of Store.summary as a report. The same rows give the same figures."""
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


def _sum(line: Line, other: Line) -> Line:
    return replace(line, **{name: getattr(line, name) + getattr(other, name) for name in _SUMMED})
