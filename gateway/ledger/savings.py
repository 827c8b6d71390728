"""What local answers save: estimates for calls that were not made, sums of a period. Pure.

A call answered or blocked here has no reported usage, so its usage is estimated, and marked as an estimate:

- input tokens: bytes of the prompt times the ratio that upstreams reported for calls of the same rule and model;
- cached input tokens: the share that the provider took from its cache in those calls;
- output tokens: bytes given here, times the ratio of tokens that the model wrote in calls of that rule to the bytes
  that would have been given instead.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.record import ASIDE

BYTES_PER_TOKEN: Final = 4.0
"""English text under the common tokenizers, until calls of the model itself have been seen."""
_PRIOR_TOKENS: Final = 1000.0
_PRIOR_OUTPUT_TOKENS: Final = 50.0
"""A label is a few tokens: some twenty calls weigh as much as the prior ratio."""
_MOST_MODELS: Final = 200


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


class UsageRatios:
    """Tokens per byte of each model, and of each rule and model, as upstreams reported them since the start. Models
    beyond a bounded number share one ratio."""

    def __init__(self) -> None:
        self._models: dict[str, _UsageSeen] = {}
        self._rest = _UsageSeen(_PRIOR_TOKENS)
        self._given: dict[tuple[str, str], _UsageSeen] = defaultdict(lambda: _UsageSeen(_PRIOR_TOKENS))
        self._made: dict[tuple[str, str], _UsageSeen] = defaultdict(lambda: _UsageSeen(_PRIOR_OUTPUT_TOKENS))

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
        if model not in self._models and len(self._models) >= _MOST_MODELS:
            self._rest.add(prompt_bytes, input_tokens)
            return
        self._models.setdefault(model, _UsageSeen(_PRIOR_TOKENS)).add(prompt_bytes, input_tokens)
        for rule, instead_bytes in rules.items():
            self._given[rule, model].add(prompt_bytes, input_tokens, cached_input_tokens)
            if instead_bytes:
                self._made[rule, model].add(instead_bytes, output_tokens)

    def input_tokens(self, model: str, rule: str, prompt_bytes: int) -> int:
        """The estimate for a call that was not made; at least 1."""
        ratio = self._models.get(model, self._rest).tokens_per_byte(1 / BYTES_PER_TOKEN)
        seen = self._given.get((rule, model))
        return max(1, round(prompt_bytes * (seen.tokens_per_byte(ratio) if seen else ratio)))

    def cached_input_tokens(self, model: str, rule: str, input_tokens: int) -> int:
        """How many of a call's input tokens would have come out of the provider's cache: 0..input_tokens."""
        seen = self._given.get((rule, model))
        return round(input_tokens * seen.cached / (seen.tokens + seen.weight)) if seen else 0

    def output_tokens(self, model: str, rule: str, instead_bytes: int) -> int:
        """The estimate for what the model would have written instead of what is given here; at least 1."""
        ratio, seen = 1 / BYTES_PER_TOKEN, self._made.get((rule, model))
        return max(1, round(instead_bytes * (seen.tokens_per_byte(ratio) if seen else ratio)))


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
_OF_A_LINE: Final = ("rule", "calls", "saved_input_tokens", "saved_output_tokens", "spent_usd", "saved_usd")


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
        return asdict(self)

    def notes(self) -> Iterator[str]:
        """What a reader of the figures must know."""
        figures = asdict(self)
        for names, note in _NOTES.items():
            if any(figures[name] for name in names.split()):
                yield note.format(**figures)


_NOTES: Final = {
    "notional_calls": "{notional_calls:,} of {calls:,} calls went to the echo upstream or were answered in front of it",
    "notional_spent_usd notional_saved_usd": "${notional_spent_usd:.6f} of the dollars spent and "
    "${notional_saved_usd:.6f} of the dollars saved are notional: nobody was charged",
    "estimated_calls": "tokens of {estimated_calls:,} calls that were not made are estimates",
    "blocked_calls": "{blocked_calls:,} blocked calls would have cost ${blocked_usd:.6f}; blocks are not counted as "
    "savings",
    "unpriced_calls": "{unpriced_calls:,} calls have no known price or usage: what they cost, or what they saved, is "
    "in no dollar figure",
    "usage_missing_calls": "{usage_missing_calls:,} forwarded calls were cut off, or came back without usage",
    "judge_calls": "judges were asked {judge_calls:,} times, for ${judge_usd:.6f}, which is spent and taken off what "
    "was saved",
    "repeat_calls": "{repeat_calls:,} calls under contracts were sent a second time, for ${repeat_usd:.6f}, which is "
    "spent and taken off what was saved",
}
"""Each note, by the figures of which one must not be 0."""


def summarise(rows: Sequence[Mapping[str, Any]]) -> Summary:
    """The sums of SQLiteLedger.summary as a report. The same rows give the same figures."""

    def total(column: str, *only: str, without: Collection[str] = ()) -> Any:
        """Over the rows of these reasons; of all but some where none is named."""
        reasons = [(row["saved_reason"], row[column]) for row in rows]
        return sum(figure for reason, figure in reasons if (not only or reason in only) and reason not in without)

    lines = [
        Line(
            what=_WHAT.get((row["decision"], row["saved_reason"]), row["decision"]),
            reason=row["saved_reason"],
            saved_calls=row["calls"] if row["saved_reason"] == "local_answer" else 0,
            **{name: row[name] for name in _OF_A_LINE},
        )
        for row in rows
    ]
    tokens = (total(column, without=["block"]) for column in ("saved_input_tokens", "saved_output_tokens"))
    return Summary(
        lines=sorted(lines, key=lambda line: (-line.calls, line.what, line.rule)),
        calls=total("calls", without=ASIDE),
        saved_calls=total("calls", "local_answer"),
        saved_tokens=sum(tokens),
        spent_usd=total("spent_usd"),
        saved_usd=total("saved_usd", without=["block"]),
        blocked_calls=total("calls", "block"),
        blocked_usd=total("saved_usd", "block"),
        notional_calls=total("notional_calls", without=ASIDE),
        notional_spent_usd=total("notional_spent_usd"),
        notional_saved_usd=total("notional_saved_usd", without=["block"]),
        estimated_calls=total("estimated"),
        unpriced_calls=total("unpriced"),
        usage_missing_calls=total("usage_missing", without=["judge"]),
        judge_calls=total("calls", "judge"),
        judge_usd=total("spent_usd", "judge"),
        repeat_calls=total("calls", "repeat"),
        repeat_usd=total("spent_usd", "repeat"),
    )
