"""What local answers save: estimates for calls that were not made. Pure.

A call answered or blocked here has no reported usage, so its usage is estimated, and marked as an estimate:

- input tokens: bytes of the prompt times the ratio that upstreams reported for calls of the same rule and model;
- cached input tokens: the share that the provider took from its cache in those calls;
- output tokens: bytes given here, times the ratio of tokens that the model wrote in calls of that rule to the bytes
  that would have been given instead.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
