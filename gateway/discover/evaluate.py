"""How well a small model would agree with the paid one, from the group's own pairs: a head on the frozen encoder,
cross-validated. An estimate to rank by; what is answered is certified by a contract on fresh calls.

Figures of a group that need no model: how varied its answers are, whether they hold still, what they cost. Pure.

Why a group's calls cannot be answered here, as far as that shows without a model. Pure.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from gateway.answers.build import build
from gateway.answers.format import Prediction, Unsupported, UnsupportedReason, requested_format
from gateway.contracts.bounds import clopper_pearson
from gateway.discover.calls import LoggedCall
from gateway.discover.group import Group, unread
from gateway.discover.labels import Labels, names_of, reserved
from gateway.ledger.prices import PriceTable
from gateway.ledger.savings import BYTES_PER_TOKEN
from gateway.requests.messages import system_text

if TYPE_CHECKING:
    from classifiers.encoder.session import Encoder
    from classifiers.model.model import Floats


MOST_INPUTS: Final = 4000
_NO_CLASS: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedAgreement:
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
class AnswerPair:
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
) -> list[AnswerPair]:
    """Each distinct input once, with the first answer that it got, judged by a fit that has not seen it, and by all of
    its windows, as a trained classifier would. Answers that are no label agree with nothing, nor do those that no other
    input got."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from classifiers.training import calibrate, split
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
        held = split.one_of(
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
        AnswerPair(text=texts[i], sure=sure, agrees=agrees, calls=counts[texts[i]])
        for index, found, own in ((tried, scores, truth[tried]), (others, other_scores, truth[others]))
        for i, sure, agrees in zip(
            index.tolist(), _surest(scale * found), (found.argmax(axis=1) == own).tolist(), strict=True
        )
    ]


def agreement_of(pairs: Sequence[AnswerPair], *, bound: float, confidence: float = 0.95) -> PredictedAgreement:
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
    return PredictedAgreement(
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


def answer_chars(calls: Sequence[LoggedCall]) -> float:
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


def spend(calls: Sequence[LoggedCall], prices: PriceTable) -> Spend:
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


def period_s(calls: Sequence[LoggedCall]) -> float | None:
    """From the first call to the last; None where the log tells no times, or too few to speak of a month."""
    times = [call.at for call in calls if call.at is not None]
    if len(times) < max(2, len(calls) / 2):
        return None
    return (max(times) - min(times)) * len(times) / (len(times) - 1) or None


def _estimate(size: int) -> int:
    """size: bytes."""
    return max(1, round(size / BYTES_PER_TOKEN))


LEAST_INPUTS: Final = 40
_FREE_CHARS = 80
_FREE_SHARE = 0.5
_MOST_LABELS = 500
_MOST_RARE = 0.2
_MOST_UNREAD = 0.5
_TRIED = 300


def obstacle(group: Group, labels: Labels) -> str | None:
    """The first that there is, in words; None where a classifier may stand in."""
    return next(_obstacles(group, labels), None)


def _obstacles(group: Group, labels: Labels) -> Iterator[str]:
    yield from _questions(group)
    yield from _answers(group, labels)
    if group.system is None and not group.reads.roles:
        yield "the system prompt changes with the calls: a contract would begin anew for each"
    if not group.readable:
        yield "no rule can read just the input: its template stands in several messages or parts of one"
    yield from _shape(group, labels)


def _questions(group: Group) -> Iterator[str]:
    # first, for the same words beside other images are another question
    if sum(unread(call, group.reads) for call in group.calls) > _MOST_UNREAD * len(group.calls):
        yield "images, audio or files, which no rule reads"
    if group.constant:
        yield f"one and the same question {len(group.calls):,} times: a cache answers that"


def _answers(group: Group, labels: Labels) -> Iterator[str]:
    inputs = len(set(group.inputs))
    answered = sum(label is not None for label in labels.of)
    if labels.several:
        yield "several labels a text"
    if not answered:
        yield "no answer that can be read"
    rare = 1 - sum(label in labels.names for label in labels.of) / len(labels.of)
    many = labels.distinct > _FREE_SHARE * answered
    if many and (answer_chars(group.calls) > _FREE_CHARS or answered >= LEAST_INPUTS):
        yield "free text"
    if inputs < LEAST_INPUTS:
        yield f"too few calls: {inputs} different inputs, at least {LEAST_INPUTS} are needed"
    if len(labels.names) > _MOST_LABELS or rare > _MOST_RARE:
        yield f"too many different answers: {labels.distinct:,}, of {rare:.0%} of calls too rare to be learned"
    if len(labels.names) < 2:
        yield f"always the same answer ({labels.names[0] if labels.names else 'none'})"
    if all(map(reserved, labels.names)):
        yield f"no answer that a label may be called: {' and '.join(labels.names)} are words of a policy's own"


def _shape(group: Group, labels: Labels) -> Iterator[str]:
    share, why = givable(group, labels)
    if share < 0.5 and why is not None:
        detail = f" ({why.detail})" if why.detail else ""
        yield f"an answer cannot be given in the shape that is asked for: {why.reason}{detail}"


def givable(group: Group, labels: Labels) -> tuple[float, Unsupported | None]:
    """The share of calls that a rule reads whole and whose answer can be given in their shape, tried on some; and why
    it cannot be given in that of the others."""
    names = names_of(labels.names)
    pairs = [(call, label) for call, label in zip(group.calls, labels.of, strict=True) if label in labels.names]
    pairs = pairs[:: max(1, len(pairs) // _TRIED)]
    scores = dict.fromkeys(names.labels, 1 / max(len(names.labels), 1))
    unmet: Counter[Unsupported] = Counter()
    read = [(call, label) for call, label in pairs if not unread(call, group.reads)]
    for call, label in read:
        shape = requested_format(dict(call.fields))
        meant = names.meant(str(label))
        if meant is None:
            shape = Unsupported(UnsupportedReason.LABEL_NOT_ASKED, str(label))
        elif not isinstance(shape, Unsupported):
            told = Prediction(labels=(meant,), names=names, confidence=0.9, scores=scores)
            prompts = (system_text(call.turns), "\n".join(text for turn in call.turns for text in turn.texts))
            shape = made if isinstance(made := build(shape, told, prompts), Unsupported) else shape
        if isinstance(shape, Unsupported):
            unmet[shape] += 1
    if not pairs:
        return 0.0, None
    most = unmet.most_common(1)
    return (len(read) - sum(unmet.values())) / len(pairs), most[0][0] if most else None
