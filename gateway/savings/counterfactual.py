"""What a call that was not made would have cost: the model that the client asked for, at its price. Pure.

A call answered or blocked here has no reported usage. Its input tokens are estimated from the bytes of its
messages by the ratio seen on that model's forwarded calls; its output tokens by the length of the text given
instead. Both are marked as estimates wherever they are shown.
"""

from dataclasses import dataclass
from typing import Final

BYTES_PER_TOKEN: Final = 4.0
"""English text under the common tokenizers, until calls of the model itself have been seen."""
_PRIOR_TOKENS: Final = 1000.0


@dataclass(slots=True)
class _Seen:
    bytes: float = BYTES_PER_TOKEN * _PRIOR_TOKENS
    tokens: float = _PRIOR_TOKENS


class TokenRatio:
    """Bytes of messages per input token, for each model, from what upstreams report. Holds a bounded number of
    models; those beyond share one ratio.
    """

    def __init__(self, most_models: int = 200) -> None:
        self._seen: dict[str, _Seen] = {}
        self._rest = _Seen()
        self._most = most_models

    def learn(self, model: str, message_bytes: int, input_tokens: int) -> None:
        """Takes one forwarded call's reported usage."""
        seen = self._seen.get(model)
        if seen is None:
            seen = self._rest
            if len(self._seen) < self._most:
                seen = self._seen[model] = _Seen()
        seen.bytes += message_bytes
        seen.tokens += input_tokens

    def input_tokens(self, model: str, message_bytes: int) -> int:
        """The estimate for a call that was not made; at least 1."""
        seen = self._seen.get(model, self._rest)
        return max(1, round(message_bytes * seen.tokens / seen.bytes))


def output_tokens(text: str) -> int:
    """The estimate for a text given instead; at least 1."""
    return max(1, round(len(text.encode()) / BYTES_PER_TOKEN))
