"""How well a small model would agree with the paid one, from the group's own pairs: a head on the frozen encoder,
cross-validated. An estimate to rank by; what is answered is certified by a contract on fresh calls."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.contract.bounds import clopper_pearson
from gateway.discover.labels import Labels

if TYPE_CHECKING:
    from classifiers.encoder.session import Encoder
    from classifiers.model import Floats

MOST_INPUTS: Final = 4000
_NO_CLASS: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """inputs: distinct ones that were measured; share: of them that get the paid model's answer, between low and high
    (95 %); bound: of which the rest is; answered: the share of calls that are surer than the threshold at which at
    most `bound` disagree (95 %), 0 where there is none; threshold: that confidence."""

    inputs: int
    share: float
    low: float
    high: float
    bound: float
    answered: float
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An input that was not fitted on. sure: of the likeliest label; agrees: whether it is the paid model's; calls:
    how many had this input."""

    text: str
    sure: float
    agrees: bool
    calls: int


def pairs_of(
    inputs: Sequence[str],
    labels: Labels,
    encoder: "Encoder",
    *,
    seed: int,
    advance: Callable[[int, int], None],
) -> list[Pair]:
    """Each distinct input once, with the first answer that it got, judged by a fit that has not seen it, and by all of
    its windows, as a trained classifier would. Answers that are no label agree with nothing, nor do those that no other
    input got."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from classifiers.training import calibrate, crossfit
    from classifiers.training.fit import linear
    from classifiers.training.rows import Row
    from classifiers.training.windows import wholes

    counts = Counter(inputs)
    first: dict[str, str | None] = {}
    for text, label in zip(inputs, labels.of, strict=True):
        first.setdefault(text, label)
    texts = list(first)
    if len(texts) > MOST_INPUTS:
        texts = random.Random(seed).sample(texts, MOST_INPUTS)  # noqa: S311 - no secret
    place = {name: index for index, name in enumerate(labels.names)}
    truth = np.array([place.get(first[text] or "", _NO_CLASS) for text in texts], np.int32)
    vectors = wholes(encoder, texts, advance)
    known = np.flatnonzero(truth != _NO_CLASS)
    rows = [Row(text=texts[i], labels=(labels.names[truth[i]],), group=str(i), source="data") for i in known]
    count, weights = len(labels.names), np.ones(len(known), np.float32)
    with threadpool_limits(1):
        held = crossfit.one_of(
            rows, vectors[known], truth[known], weights=weights, count=count, seed=seed, advance=lambda *_: None
        )
        # an answer that only one input got is not held out: no fit would know it
        tried = known[held.rows]
        sharpness, share = calibrate.nearest_share(held.logits, held.votes, truth[tried])
        scores = held.logits + np.float32(share) * held.votes[sharpness]
        scale = np.float32(calibrate.temperature(scores, truth[tried]))
        fitted = linear.one_of(vectors[tried], truth[tried], weights[held.rows], count, seed)
    others = np.setdiff1d(np.arange(len(texts)), tried)
    other_scores = vectors[others] @ fitted.weights.T + fitted.bias
    return [
        Pair(text=texts[i], sure=sure, agrees=agrees, calls=counts[texts[i]])
        for index, found, own in ((tried, scores, truth[tried]), (others, other_scores, truth[others]))
        for i, sure, agrees in zip(
            index.tolist(), _surest(scale * found), (found.argmax(axis=1) == own).tolist(), strict=True
        )
    ]


def agreement_of(pairs: Sequence[Pair], *, bound: float, confidence: float = 0.95) -> Agreement:
    """Pure. bound: the most disagreement among what is answered, held with `confidence` (Clopper-Pearson)."""
    agree = sum(pair.agrees for pair in pairs)
    low, high = clopper_pearson(len(pairs), agree, (1 - confidence) / 2)
    ordered = sorted(pairs, key=lambda pair: -pair.sure)
    wrong, calls, answered, threshold = 0, 0, 0, None
    for index, pair in enumerate(ordered):
        wrong += not pair.agrees
        calls += pair.calls
        last = index + 1 == len(ordered) or ordered[index + 1].sure < pair.sure
        if last and clopper_pearson(index + 1, wrong, 1 - confidence)[1] <= bound:
            answered, threshold = calls, pair.sure
    return Agreement(
        inputs=len(pairs),
        share=agree / len(pairs) if pairs else 0.0,
        low=low,
        high=high,
        bound=bound,
        answered=answered / max(calls, 1),
        threshold=threshold,
    )


def _surest(scores: "Floats") -> list[float]:
    """The largest probability of each row of scores."""
    import numpy as np

    if not len(scores):
        return []
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: list[float] = (powers.max(axis=1) / powers.sum(axis=1)).tolist()
    return found
