"""What local answers save: estimates for calls that were not made, and what another threshold would have decided. Pure.

A call answered or blocked here has no reported usage, so its usage is estimated, and marked as an estimate:

- input tokens: bytes of the prompt times the ratio that upstreams reported for calls of the same rule and model;
- cached input tokens: the share that the provider took from its cache in those calls;
- output tokens: bytes given here, times the ratio of tokens that the model wrote in calls of that rule to the bytes
  that would have been given instead.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from classifiers.policy import OTHER
from classifiers.verdict import Abstention
from gateway.record import made_by
from gateway.rules.rule import Act, Rule

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


_GOES_ON: Final = (("forward", "redact"), ("forward", "redact", "answer"))
"""Decisions that an answer would change, and those that a block would."""
_DECISIONS: Final = {Act.ANSWER: "answer", Act.BLOCK: "block"}
_BY_SCORE: Final = (":clean", f":{Abstention.UNSURE.value}")
"""Why a row's label was not named, where that may be its score."""


@dataclass(slots=True, kw_only=True)
class ReplayedLabel:
    """What another threshold changes of the calls that a label is likeliest of. read: how many these are; older: of
    them, those before a time. more, fewer: calls that the rule acts on for the label besides, and no more. wrong: of
    `more`, those that a reviewer gave no such label. doubted: above both thresholds and in doubt all the same. usd:
    what answers save more, less what fewer of them save; unknown: of these calls, those without dollars; notional:
    whether nobody is charged for some."""

    read: int = 0
    older: int = 0
    more: int = 0
    fewer: int = 0
    wrong: int = 0
    doubted: int = 0
    usd: float = 0.0
    unknown: int = 0
    notional: bool = False


def replay(
    calls: Iterable[Mapping[str, Any]],
    rule: Rule,
    threshold: float,
    *,
    now: Mapping[str, float],
    reviewed: Mapping[str, Collection[str]],
    since: float = 0.0,
) -> Mapping[str, ReplayedLabel]:
    """What a rule would have done at another threshold, by label. calls: that it has read, as of `SQLiteLedger.judged`;
    a row has one label, and of a doubt no reason but its score. now: the labels' thresholds; that of `other` stays.
    reviewed: the right labels of calls, by request id; since: Unix seconds, before which calls are older."""
    labels: dict[str, ReplayedLabel] = defaultdict(ReplayedLabel)
    blocks_doubt, entry = rule.otherwise[Abstention.UNSURE.value].act is Act.BLOCK, made_by(re.escape(rule.name))
    for call in calls:
        if (read := entry.search(call["verdicts"])) is None or read[2] is not None:
            continue
        label, score, doubt = read[3], float(read[4]), read[5]
        made, action = labels[label], rule.then.get(label)
        made.read += 1
        made.older += call["at"] < since
        if action is None or label == OTHER:
            continue
        above, above_now, blocks = score >= threshold, score >= now.get(label, 0.0), action.act is Act.BLOCK
        by_score, flags = above and doubt in _BY_SCORE, action.act is Act.FLAG
        more = by_score and not above_now and (flags or call["decision"] in _GOES_ON[blocks])
        # other rules may have answered, or blocked
        acted = action.act not in _DECISIONS or (call["decision"], call["rule"]) == (_DECISIONS[action.act], rule.name)
        fewer = acted and not above and not doubt and not (blocks and blocks_doubt)
        made.doubted += by_score and above_now
        made.more += more
        made.fewer += fewer
        made.wrong += more and label not in reviewed.get(call["request_id"], (label,))
        if action.act is Act.ANSWER and (more or fewer):
            usd = call["spent_usd"] if more else call["saved_usd"]
            made.usd += (usd or 0.0) * (1 if more else -1)
            made.unknown += usd is None
            made.notional |= call["notional"]
    return labels
