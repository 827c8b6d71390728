"""What a call that was not made would have used, estimated from calls that were made. Pure.

A call answered or blocked here has no reported usage. Its input tokens are estimated from the bytes of its prompt, by
the ratio that upstreams reported for calls of the same rule and model; its output tokens from the bytes that are given
here, by the ratio of what the model wrote for calls of that rule to what would have been given instead. Both are marked
as estimates wherever they are shown. The provider would have taken some of the input from its cache: the share that it
reported for calls of the same rule and model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BYTES_PER_TOKEN: Final = 4.0
"""English text under the common tokenizers, until calls of the model itself have been seen."""
_PRIOR_TOKENS: Final = 1000.0
_PRIOR_OUTPUT_TOKENS: Final = 50.0
"""A label is a few tokens: some twenty calls weigh as much as what was supposed before."""


@dataclass(slots=True)
class _Seen:
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
        self._models: dict[str, _Seen] = {}
        self._rest = _Seen(_PRIOR_TOKENS)
        self._given: dict[tuple[str, str], _Seen] = {}
        self._made: dict[tuple[str, str], _Seen] = {}
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
            seen = self._models[model] = _Seen(_PRIOR_TOKENS)
        seen.add(prompt_bytes, input_tokens)
        for rule, instead_bytes in rules.items():
            self._given.setdefault((rule, model), _Seen(_PRIOR_TOKENS)).add(
                prompt_bytes, input_tokens, cached_input_tokens
            )
            if instead_bytes:
                self._made.setdefault((rule, model), _Seen(_PRIOR_OUTPUT_TOKENS)).add(instead_bytes, output_tokens)

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
