"""Operating points: what a first stage may settle, bands with stricter thresholds, and which rows calibrate.

Pure, except for the language detector. Bands: docs/design/001-heads-and-thresholds.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import most
from classifiers.model.model import NEVER, Band, Floats, Threshold
from classifiers.policy import Goal, Policy
from classifiers.runtime.thresholds import band_of, families, language_of
from classifiers.text.language import LanguageDetector
from classifiers.text.normalise import normalise
from classifiers.training import calibrate
from classifiers.training.rows import REAL, Row

Bools = NDArray[np.bool_]

MOST_LOST = 0.005
"""The largest share of texts that the encoder gets right and the first stage wrong, with 95 % confidence."""
MOST_NET_LOST = 0.001
"""The same minus texts that only the first stage gets right, as counted."""
EXIT_CONFIDENCE = 0.95
EXIT_LEAST_ROWS = ceil(log(1 - EXIT_CONFIDENCE) / log(1 - MOST_LOST))
"""With fewer rows, not even zero losses would show that few enough are lost."""
RARE = 20
"""Rows below which a class is rare. Rare classes together must lose no text: among all rows, a class of three would
not count."""
LEAST_SURE = 0.5
"""No threshold is lower."""

_FIRST_TESTED, _TESTED = 0.4, 20
"""The first share tested, and how many shares from there on. With fewer texts, one error among the surest would end the
sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScores:
    """Held-out scores of a first stage and of the model without it.

    probabilities: (n, classes) of the first stage; known: (n,) whether it knows all of a text's tokens; truth: (n,)
    classes; right, before: (n,) whether it, and the model without it, are right; used: (n,) which rows count.
    """

    probabilities: Floats
    known: Bools
    truth: NDArray[np.int32]
    right: Bools
    before: Bools
    used: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The first stage settles texts from `act` on. Shares are of all texts; errors are of the settled ones: the first
    stage's, and the model's on the same texts without it."""

    act: float
    settled: float
    error: float
    error_before: float
    lost: float
    most_lost: float


def choose_exit(scores: HeldOutScores, *, max_error: float = 1.0) -> Point | None:
    """The point that settles most texts among those that lose few enough; None where there is none.

    max_error: the most of what is settled that may be wrong, with 95 % confidence.
    """
    sure = np.where(scores.known, scores.probabilities.max(axis=1), 0.0)[scores.used]
    order = np.argsort(-sure, kind="stable")
    sure, right, before = sure[order], scores.right[scores.used][order], scores.before[scores.used][order]
    total = len(sure)
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True)) if total else np.zeros(0, np.intp)
    ends = ends[sure[ends] >= LEAST_SURE]
    lost, gained, wrong, wrong_before = (
        np.cumsum(mask, dtype=np.int64)[ends] for mask in (~right & before, right & ~before, ~right, ~before)
    )
    settled, most_lost = ends + 1, highest_share(lost, total)
    few = rare(scores.truth, scores.used)[scores.used][order]
    lost_of_few = np.cumsum(few * (before.astype(np.int64) - right))[ends]
    fit = (most_lost <= MOST_LOST) & (lost - gained <= MOST_NET_LOST * total) & (lost_of_few <= 0)
    fit &= _few_wrong(wrong, settled, max_error)
    if not fit.any():
        return None
    best = int(np.flatnonzero(fit)[-1])
    return Point(
        act=float(sure[ends[best]]),
        settled=float(settled[best] / total),
        error=float(wrong[best] / settled[best]),
        error_before=float(wrong_before[best] / settled[best]),
        lost=float(lost[best] / total),
        most_lost=float(most_lost[best]),
    )


def rare(truth: NDArray[np.int32], used: Bools) -> Bools:
    """(n,) which of the `used` rows are of a rare class. truth: (n,) classes."""
    counts = np.bincount(truth[used], minlength=int(truth.max(initial=0)) + 1)
    few: Bools = used & (counts[truth] < RARE)
    return few


def _few_wrong(wrong: NDArray[np.int64], settled: NDArray[np.intp], max_error: float) -> Bools:
    """(points,) where, with 95 % confidence for whichever is taken, at most `max_error` of the settled text is wrong.

    Shares chosen before are tested from the surest texts on, up to the first that fails (fixed sequence testing:
    Angelopoulos et al. 2021, "Learn then Test"). wrong, settled: (points,) counts, ascending.
    """
    if max_error >= 1:
        return np.ones(len(settled), bool)
    kept = np.zeros(len(settled), bool)
    allowing_one = np.flatnonzero(highest_share(np.ones_like(wrong), settled) <= max_error)
    if len(allowing_one):
        first = max(settled[allowing_one[0]], _FIRST_TESTED * settled[-1])
        tested = np.unique(np.searchsorted(settled, np.linspace(first, settled[-1], _TESTED)))
        held = highest_share(wrong[tested], settled[tested]) <= max_error
        kept[tested[np.logical_and.accumulate(held)]] = True
    return kept


def least_share(count: int, total: int, confidence: float) -> float:
    """The lower bound of a share at that confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    return float(betaincinv(count, total - count + 1.0, 1 - confidence)) if count else 0.0


def highest_share(counts: NDArray[np.integer], totals: NDArray[np.integer] | int) -> NDArray[np.float64]:
    """The upper bound of shares at 95 % confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    highest = betaincinv(counts + 1.0, np.maximum(np.asarray(totals) - counts, 1e-9), EXIT_CONFIDENCE)
    return np.where(counts >= totals, 1.0, highest)


LEAST_ROWS = 50
"""Held-out rows of a band below which the common threshold is used."""
CONFIDENCE = 0.8
"""The confidence that a band has too many errors. A needless threshold costs answers, a missing one costs errors."""


def of_texts(policy: Policy, texts: Sequence[str]) -> list[Band]:
    """The band of each text; by language only where the policy names several."""
    known, detector = families(policy.languages), LanguageDetector()
    plain = [normalise(text) for text in texts]
    return [band_of(len(text), language_of(detector.stretches(text), known) if known else "") for text in plain]


def stricter(
    bands: Sequence[Band], confidences: Floats, correct: Bools, *, act: float, max_error: float
) -> dict[Band, float]:
    """Thresholds of bands in which, with 80 % confidence, more than `max_error` of the answers from `act` on are wrong:
    the lowest that keeps to it on these rows, or `NEVER`'s.

    act: the common threshold. bands, confidences, correct: (n,) of held-out rows that are named.
    """
    own: dict[Band, float] = {}
    for band, here in _each(bands):
        sure, right = confidences[here], correct[here]
        answered = sure >= act
        wrong = least_share(int((answered & ~right).sum()), int(answered.sum()), CONFIDENCE)
        if len(sure) >= LEAST_ROWS and wrong > max_error:
            # only answered rows count: right rows below the common threshold could make a lower one look good enough
            reach = calibrate.act_for_error(sure[answered], right[answered], max_error)
            own[band] = reach.act if reach else NEVER.act
    return own


def band_summary(
    bands: Sequence[Band], confidences: Floats, correct: Bools, *, act: float, own: Mapping[Band, float]
) -> list[dict[str, Any]]:
    """For the report, the shortest texts first: the figures of each band at the common threshold and at its own."""
    summary = []
    for band, here in _each(bands):
        sure, right, used = confidences[here], correct[here], own.get(band, act)
        summary.append(
            {
                "above": band.above,
                "up_to": band.up_to,
                "language": band.language,
                "rows": len(sure),
                "common": _shares(sure >= act, right),
                "act": round(min(used, 1.0), 5),
                "own": band in own,
                **_shares(sure >= used, right),
            }
        )
    return summary


def _each(bands: Sequence[Band]) -> Iterator[tuple[Band, Bools]]:
    for band in sorted(set(bands), key=lambda band: (band.above, band.language)):
        yield band, np.array([other == band for other in bands], bool)


def _shares(answered: Bools, right: Bools) -> dict[str, float | None]:
    wrong = (answered & ~right).sum() / answered.sum() if answered.any() else None
    return {
        "answered": round(float(answered.mean()), 5),
        "error": None if wrong is None else round(float(wrong), 5),
    }


SURE_MISSES = 0.005
"""The share of harmful text that the small stage may clear; a wider band is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Which stage settles each text. asked: (n,) settled by the large stage; the rest is clean.

    probabilities: (n, labels) of the stage that settled it.
    """

    asked: Bools
    probabilities: Floats

    @property
    def certain(self) -> Floats:
        """(n, labels) for choosing the large stage's thresholds: 0 for text that the small one has cleared."""
        return np.where(self.asked[:, None], self.probabilities, np.float32(0))


def strictest(policy: Policy) -> float:
    """The largest share to catch among a safety policy's goals with a larger encoder."""
    _, goal = policy.goal_where(larger=True)
    stated = [goal] if goal else [label.goal or Goal() for label in policy.labels.values()]
    return max(goal.catch for goal in stated)


def band(probabilities: Floats, harmful: Bools, *, most_asked: float, catch: float = Goal().catch) -> Threshold:
    """The small stage's thresholds, the same for all labels: below `unsure` a text is clean; nothing is flagged alone.

    probabilities: (n, labels) of held-out text by the small stage; harmful: (n,); most_asked: the largest share of
    harmless text that goes to the large stage. catch: the policy's strictest; the small stage wrongly clears at most
    half of what that allows, unless `most_asked` leaves more.
    """
    misses = min(SURE_MISSES, (1 - catch) / 2)
    highest = probabilities.max(axis=1)
    harmless, harm = np.sort(highest[~harmful])[::-1], np.sort(highest[harmful])
    place = most(most_asked, len(harmless))
    asked = _beyond(float(harmless[place])) if place < len(harmless) else 0.0
    lowest = float(harm[most(misses, len(harm))]) if len(harm) else 0.0
    return Threshold(act=NEVER.act, unsure=max(asked, lowest))


def _beyond(probability: float) -> float:
    """The lowest threshold that a probability does not reach: `NEVER`'s for certainty."""
    limit = float(np.nextafter(np.float32(probability), np.float32(2)))
    return limit if limit <= 1 else NEVER.unsure


def through(small: Floats, large: Floats, limits: Threshold) -> Way:
    """Two stages combined. small, large: (n, labels) probabilities of each stage, the large one's for all texts."""
    asked: Bools = np.asarray(small.max(axis=1) >= limits.unsure, bool)
    return Way(asked=asked, probabilities=np.where(asked[:, None], large, small))


REAL_ROWS, WRITTEN, BOTH = "real rows", "written text", "written and real text"
MOSTLY_REAL = "real rows, with written text where those are few"

_ENOUGH = 200
_ENOUGH_OF_A_CLASS = 5

_OTHER_HARMLESS, _EVERYDAY_TO_OTHERS = 20, 4


def measured_on(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> tuple[Bools, str]:
    """(n,) which held-out rows calibrate, and what to call them. held: (n,) their indexes.

    Real rows where there are enough, else all rows. A class with hardly any real row (for safety, harmless text too)
    gets written rows as well: all of them where each class has its own threshold, only a few where all share one.
    """
    here = [rows[index] for index in held.tolist()]
    real, kept = is_real(rows, held), _few_everyday(policy, here)
    if not enough(real):
        return kept, BOTH if real.any() else WRITTEN
    used = real.copy()
    for members in _classes(policy, here):
        lacking = _ENOUGH_OF_A_CLASS - int((members & real).sum())
        if lacking > 0:
            written = np.flatnonzero(members & ~real & kept)
            used[written if policy.multi_label else written[:lacking]] = True
    return used, REAL_ROWS if (used == real).all() else MOSTLY_REAL


def _few_everyday(policy: Policy, held: Sequence[Row]) -> Bools:
    """(n,) all rows; for safety at most one everyday sentence for four other harmless rows, once there are enough of
    these. No guard flags such sentences, so many of them would make any guard look good."""
    kept = np.ones(len(held), bool)
    if policy.kind != "safety":
        return kept
    harmless = np.array([not row.labels for row in held], bool)
    everyday = np.array([row.source == "builtin" for row in held], bool) & harmless
    others = int((harmless & ~everyday).sum())
    most = others // _EVERYDAY_TO_OTHERS
    places = np.flatnonzero(everyday)
    if others >= _OTHER_HARMLESS and len(places) > most:
        kept[places] = False
        # evenly spread, since neighbours are alike
        kept[places[np.linspace(0, len(places) - 1, most).astype(np.intp)]] = True
    return kept


def is_real(rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) whether users wrote them."""
    return np.array([rows[index].source in REAL for index in held.tolist()], bool)


def is_foreign(rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) whether they are in a language on which the classifier abstains when served."""
    return np.array([bool(rows[index].foreign) for index in held.tolist()], bool)


def answerable(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) which held-out rows calibrate a single-label model: those of `measured_on` without foreign ones, on which it
    abstains when served; with them where there are no others."""
    near = ~is_foreign(rows, held)
    if not near.any():
        near[:] = True
    chosen: Bools = np.zeros(len(held), bool)
    chosen[near] = measured_on(policy, rows, held[near])[0]
    return chosen


def enough(real: Bools) -> bool:
    """Whether real rows are enough to calibrate by."""
    return bool(real.sum() >= _ENOUGH)


def _classes(policy: Policy, held: Sequence[Row]) -> Iterator[Bools]:
    """(n,) for each class whether a row has it. Without `other`: everyday text is reported apart."""
    for label in policy.labels:
        yield np.array([label in row.labels for row in held], bool)
    if policy.kind == "safety":
        yield np.array([not row.labels for row in held], bool)
