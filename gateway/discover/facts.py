"""Figures of a group that need no model: how varied its answers are, whether they hold still, what they cost. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gateway.discover.call import Call
from gateway.savings.counterfactual import BYTES_PER_TOKEN
from gateway.savings.prices import PriceTable

MONTH_S = 30 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """How often the model gave two calls with the same input the same answer. inputs: asked more than once; pairs:
    of their calls; agree: a share, None without pairs."""

    inputs: int
    pairs: int
    agree: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """usd: of the group's calls in the log, as far as they have a price; estimated: calls whose tokens are estimated
    from their length; unpriced: calls without any price."""

    usd: float
    estimated: int
    unpriced: int


def entropy(labels: Sequence[str | None]) -> float:
    """Of the answers, in bits: 0 where all are one."""
    counts = Counter(label for label in labels if label is not None)
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) + 0.0 if total else 0.0


def answer_chars(calls: Sequence[Call]) -> float:
    """The median length of an answer."""
    return median(len(call.said.content) + sum(len(text) for _, text in call.said.calls.values()) for call in calls)


def consistency(inputs: Sequence[str], labels: Sequence[str | None]) -> Consistency:
    """Over all pairs of calls with the same input; what is no label agrees with nothing."""
    by_input: dict[str, list[str | None]] = defaultdict(list)
    for text, label in zip(inputs, labels, strict=True):
        by_input[text].append(label)
    repeated = [found for found in by_input.values() if len(found) > 1]
    pairs = sum(math.comb(len(found), 2) for found in repeated)
    same = sum(math.comb(n, 2) for found in repeated for label, n in Counter(found).items() if label is not None)
    return Consistency(inputs=len(repeated), pairs=pairs, agree=same / pairs if pairs else None)


def spend(calls: Sequence[Call], prices: PriceTable) -> Spend:
    """What the ledger says; else by the price table; where that does not know the model, by what the log says."""
    usd, estimated, unpriced = 0.0, 0, 0
    for call in calls:
        if call.spent_usd is not None:
            usd += call.spent_usd
            continue
        price = prices.find(call.model)
        if price is None:
            unpriced += call.reported_usd is None
            usd += call.reported_usd or 0.0
            continue
        known = call.input_tokens is not None and call.output_tokens is not None
        estimated += not known
        texts = (call.said.content, *(text for _, text in call.said.calls.values()))
        said = sum(len(text.encode(errors="surrogatepass")) for text in texts)
        usd += price.cost(
            input_tokens=_estimate(call.message_bytes) if call.input_tokens is None else call.input_tokens,
            output_tokens=_estimate(said) if call.output_tokens is None else call.output_tokens,
            cached_input_tokens=call.cached_input_tokens,
        )
    return Spend(usd=usd, estimated=estimated, unpriced=unpriced)


def period_s(calls: Sequence[Call]) -> float | None:
    """From the first call to the last; None where the log tells no times, or too few to speak of a month."""
    times = [call.at for call in calls if call.at is not None]
    if len(times) < max(2, len(calls) / 2):
        return None
    return (max(times) - min(times)) * len(times) / (len(times) - 1) or None


def _estimate(size: int) -> int:
    """size: bytes."""
    return max(1, round(size / BYTES_PER_TOKEN))
