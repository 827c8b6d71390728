"""What a group's calls cost, how well a small model would agree with the paid one, and what prevents it.

The agreement is cross-validated on the group's own pairs, with a head on the frozen encoder. It is an estimate to rank
by; a contract certifies answers on fresh calls. All else is pure and needs no model.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Final

from gateway.answers.build import build
from gateway.answers.format import Prediction
from gateway.config.prices import PriceTable
from gateway.discover.calls import LoggedCall
from gateway.discover.group import Group, unread
from gateway.discover.labels import Labels, names_of, reserved
from gateway.intervals import clopper_pearson, is_rate_below
from gateway.ledger.savings import BYTES_PER_TOKEN
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Unsupported, UnsupportedReason, system_text
from gateway.spelling import LabelNames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from classifiers.encoder.session import Encoder
    from classifiers.model.model import Floats
    from classifiers.training.fit.linear import Ints
    from classifiers.training.rows import Row


MOST_INPUTS: Final = 4000
_NO_CLASS: Final = -1
_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedAgreement:
    """How often the local answer would be the paid model's. inputs: distinct ones that were measured. share: of them
    that agree, between low and high (95 %). threshold: the confidence from which at most `bound` of the inputs disagree
    (95 %), None where there is none. answered: the share of calls with at least that confidence."""

    inputs: int
    share: float
    low: float
    high: float
    bound: float
    answered: float
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPair:
    """A held-out input. confidence: of the likeliest label. agrees: whether that is the paid model's. calls: how many
    had this input, or a near-duplicate of it with the same answer."""

    text: str
    confidence: float
    agrees: bool
    calls: int


def pairs_of(
    inputs: Sequence[str], labels: Labels, encoder: "Encoder", *, advance: Callable[[int, int], None]
) -> list[AnswerPair]:
    """Each distinct input once, with the first answer that it got, judged by a fit that has not seen it.
    Near-duplicates with the same answer are one input. An input is read in all of its windows, as a trained classifier
    would. Answers that are no label agree with nothing, nor do those that no other input got."""
    from classifiers.errors import require

    require("offramp discover", "sklearn", "scipy")
    import numpy as np

    from classifiers.training.rows import Row
    from classifiers.training.windows import wholes

    counts = Counter(inputs)
    first = dict(zip(reversed(inputs), reversed(labels.by_call), strict=True))
    texts = list(counts)
    if len(texts) > MOST_INPUTS:
        texts = random.Random(_SEED).sample(texts, MOST_INPUTS)  # noqa: S311 - no secret
    place = {name: index for index, name in enumerate(labels.names)}
    truth = np.array([place.get(first[text] or "", _NO_CLASS) for text in texts], np.int32)
    vectors = wholes(encoder, texts, advance)
    calls = _near_duplicates(texts, [first[text] or "" for text in texts], counts)
    chosen = list(calls)
    texts, truth, vectors = [texts[index] for index in chosen], truth[chosen], vectors[chosen]
    known = np.flatnonzero(truth != _NO_CLASS)
    rows = [Row(text=texts[i], labels=(labels.names[truth[i]],), group=str(i), source="data") for i in known]
    order, scores, scale = _judged(rows, vectors, truth, known, len(labels.names))
    powers = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    confidences = powers.max(axis=1) / powers.sum(axis=1)
    agrees = scores.argmax(axis=1) == truth[order]
    return [
        AnswerPair(text=texts[i], confidence=confidence, agrees=same, calls=calls[chosen[i]])
        for i, confidence, same in zip(order.tolist(), confidences.tolist(), agrees.tolist(), strict=True)
    ]


def _judged(
    rows: Sequence["Row"], vectors: "Floats", truth: "Ints", known: "NDArray[np.intp]", count: int
) -> tuple["NDArray[np.intp]", "Floats", float]:
    """The places of all texts in some order, the logits of each by a fit that has not seen it, and their temperature.
    known: the places of the rows, which have one of `count` labels."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from classifiers.training import calibrate, split
    from classifiers.training.fit import linear

    weights = np.ones(len(known), np.float32)
    with threadpool_limits(1):
        held = split.one_of(
            rows, vectors[known], truth[known], weights=weights, count=count, seed=_SEED, advance=lambda *_: None
        )
        # an answer that only one input got is not held out: no fit would know it
        tested = known[held.rows]
        sharpness, share = calibrate.nearest_share(held.logits, held.votes, truth[tested])
        scores = held.logits + np.float32(share) * held.votes[sharpness]
        scale = np.float32(calibrate.temperature(scores, truth[tested]))
        fitted = linear.one_of(vectors[tested], truth[tested], weights[held.rows], count, _SEED)
    others = np.setdiff1d(np.arange(len(truth)), tested)
    scores = np.concatenate([scores, vectors[others] @ fitted.weights.T + fitted.bias])
    return np.concatenate([tested, others]), scores, float(scale)


def _near_duplicates(texts: Sequence[str], answers: Sequence[str], counts: Mapping[str, int]) -> Counter[int]:
    """How many calls had each text or a near-duplicate of it with the same answer, by the first of these texts' place.
    counts: how many calls had each text."""
    from classifiers.training.rows import Row
    from classifiers.training.split import held_together

    pairs = enumerate(zip(texts, answers, strict=True))
    rows = [Row(text=text, labels=(answer,), group=str(place), source="data") for place, (text, answer) in pairs]
    calls: Counter[int] = Counter()
    for row in held_together(rows):
        # a group keeps the name of its first row
        calls[int(row.group)] += counts[row.text]
    return calls


def agreement_of(pairs: Sequence[AnswerPair], *, bound: float, confidence: float = 0.95) -> PredictedAgreement:
    """The agreement of pairs. bound: the most disagreement among what is answered (Clopper-Pearson)."""
    agree = sum(pair.agrees for pair in pairs)
    low, high = clopper_pearson(len(pairs), agree, (1 - confidence) / 2)
    ordered = sorted(pairs, key=lambda pair: -pair.confidence)
    wrong, calls, answered, threshold = 0, 0, 0, None
    for index, pair in enumerate(ordered):
        wrong += not pair.agrees
        calls += pair.calls
        last = index + 1 == len(ordered) or ordered[index + 1].confidence < pair.confidence
        if last and is_rate_below(index + 1, wrong, 1 - confidence, bound):
            answered, threshold = calls, pair.confidence
    return PredictedAgreement(
        inputs=len(pairs),
        share=agree / len(pairs) if pairs else 0.0,
        low=low,
        high=high,
        bound=bound,
        answered=answered / max(calls, 1),
        threshold=threshold,
    )


MONTH_S = 30 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """How often the model gave two calls with the same input the same answer. inputs: that were asked more than once.
    pairs: of their calls. agree: a share, None without pairs."""

    inputs: int
    pairs: int
    agree: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """The cost of a group's calls in the log, as far as they have a price. estimated: calls whose tokens are estimated
    from their length. unpriced: calls without any price."""

    usd: float
    estimated: int
    unpriced: int


def _texts(call: LoggedCall) -> list[str]:
    return [call.completion.content, *(arguments for _, arguments in call.completion.calls.values())]


def consistency(inputs: Sequence[str], labels: Sequence[str | None]) -> Consistency:
    """Over all pairs of calls with the same input. What is no label agrees with nothing."""
    by_input: dict[str, list[str | None]] = defaultdict(list)
    for text, label in zip(inputs, labels, strict=True):
        by_input[text].append(label)
    repeated = [answers for answers in by_input.values() if len(answers) > 1]
    pairs = sum(math.comb(len(answers), 2) for answers in repeated)
    same = sum(math.comb(n, 2) for answers in repeated for label, n in Counter(answers).items() if label is not None)
    return Consistency(inputs=len(repeated), pairs=pairs, agree=same / pairs if pairs else None)


def spend(calls: Sequence[LoggedCall], prices: PriceTable) -> Spend:
    """The cost by the ledger, or else by the price table, or, of models that it lacks, by the log itself."""
    usd, estimated, unpriced = 0.0, 0, 0
    for call in calls:
        price = prices.find(call.model)
        if call.spent_usd is not None:
            usd += call.spent_usd
        elif price is None:
            unpriced += call.reported_usd is None
            usd += call.reported_usd or 0.0
        else:
            estimated += call.input_tokens is None or call.output_tokens is None
            answer = sum(len(text.encode(errors="surrogatepass")) for text in _texts(call))
            usd += price.cost(
                input_tokens=_tokens(call.message_bytes) if call.input_tokens is None else call.input_tokens,
                output_tokens=_tokens(answer) if call.output_tokens is None else call.output_tokens,
                cached_input_tokens=call.cached_input_tokens,
            )
    return Spend(usd=usd, estimated=estimated, unpriced=unpriced)


def _tokens(length_bytes: int) -> int:
    return max(1, round(length_bytes / BYTES_PER_TOKEN))


def period_s(calls: Sequence[LoggedCall]) -> float | None:
    """From the first call to the last. None where times are missing, too few or too near to speak of a month."""
    times = [call.at for call in calls if call.at is not None]
    if len(times) < max(2, len(calls) / 2):
        return None
    length = (max(times) - min(times)) * len(times) / (len(times) - 1)
    return length if length >= _LEAST_S else None


LEAST_INPUTS: Final = 40
_LEAST_S: Final = 3600
_FREE_CHARS = 80
_FREE_SHARE = 0.5
_MOST_LABELS = 500
_MOST_RARE = 0.2
_MOST_UNREAD = 0.5
_TRIED = 300


def obstacle(group: Group, labels: Labels) -> str | None:
    """The first reason in words why a group's calls cannot be answered locally, as far as that shows without a model;
    None where a classifier may answer."""
    return next(chain(_obstacles(group, labels), _rule_obstacles(group, labels)), None)


def _obstacles(group: Group, labels: Labels) -> Iterator[str]:
    calls, inputs, names = len(group.calls), len(set(group.inputs)), labels.names
    # first, for the same words with other images are another question
    if sum(unread(call, group.reads) for call in group.calls) > _MOST_UNREAD * calls:
        yield "images, audio or files, which no rule reads"
    if group.constant:
        yield f"one and the same question {calls:,} times: a cache answers that"
    if labels.several:
        yield "several labels a text"
    answered = sum(label is not None for label in labels.by_call)
    if not answered:
        yield "no answer that can be read"
    many = labels.distinct > _FREE_SHARE * answered
    length = median(sum(map(len, _texts(call))) for call in group.calls)
    if many and (length > _FREE_CHARS or answered >= LEAST_INPUTS):
        yield "free text"
    if inputs < LEAST_INPUTS:
        yield f"too few calls: {inputs} different inputs, at least {LEAST_INPUTS} are needed"
    rare = 1 - sum(label in names for label in labels.by_call) / calls
    if len(names) > _MOST_LABELS or rare > _MOST_RARE:
        yield f"too many different answers: {labels.distinct:,}, of {rare:.0%} of calls too rare to be learned"
    if len(names) < 2:
        yield f"always the same answer ({names[0] if names else 'none'})"
    if all(map(reserved, names)):
        yield f"no answer that a label may be called: {' and '.join(names)} are words of a policy's own"


def _rule_obstacles(group: Group, labels: Labels) -> Iterator[str]:
    if group.system is None and not group.reads.roles:
        yield "the system prompt changes with the calls: a contract would begin anew for each"
    if not group.readable:
        yield "no rule can read just the input: its template stands in several messages or parts of one"
    share, why = givable(group, labels)
    if share < 0.5 and why is not None:
        detail = f" ({why.detail})" if why.detail else ""
        yield f"an answer cannot be given in the shape that is asked for: {why.reason}{detail}"


def givable(group: Group, labels: Labels) -> tuple[float, Unsupported | None]:
    """The share of calls that a rule reads whole and whose answer can be given in their format, tried on a sample; and
    the most frequent reason why not."""
    names = names_of(labels.names)
    pairs = [(call, label) for call, label in zip(group.calls, labels.by_call, strict=True) if label in labels.names]
    pairs = pairs[:: max(1, len(pairs) // _TRIED)]
    tried = [_unsupported(call, str(label), names) for call, label in pairs if not unread(call, group.reads)]
    reasons = Counter(reason for reason in tried if reason is not None)
    return tried.count(None) / max(len(pairs), 1), reasons.most_common(1)[0][0] if reasons else None


def _unsupported(call: LoggedCall, label: str, names: LabelNames) -> Unsupported | None:
    shape, name = CHAT.requests.requested(dict(call.fields)), names.resolve(label)
    if name is None:
        return Unsupported(UnsupportedReason.LABEL_NOT_ASKED, label)
    if isinstance(shape, Unsupported):
        return shape
    scores = dict.fromkeys(names.labels, 1 / len(names.labels))
    prediction = Prediction(labels=(name,), names=names, confidence=0.9, scores=scores)
    prompts = (system_text(call.turns), "\n".join(text for turn in call.turns for text in turn.texts))
    answer = build(shape, prediction, prompts)
    return answer if isinstance(answer, Unsupported) else None
