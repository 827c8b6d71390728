"""A period's ledger sums → what was spent and saved. Pure: the same rows give the same figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.ledger.record import ASIDE

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
