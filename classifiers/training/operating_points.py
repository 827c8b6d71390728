"""Where held-out text shows that the common threshold keeps no goal: a stricter one for texts of that length or
language. Pure, but for the detector of languages. Why so: docs/design/001-heads-and-thresholds.md.

What a first stage may settle, by what held-out text shows of it and of the model without it. Pure.

What a small stage clears, and what becomes of text that goes through two stages. Pure.

The small stage settles text that it is sure is clean; about everything else the large one is asked. What is flagged is
rare in traffic, and the two together order it far better than the small one does.

Which held-out rows calibrate a model and its thresholds, and so are what is measured on. Pure.

Real rows, once there are enough; a class of which they show hardly anything is not left out for that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import most
from classifiers.model.model import NEVER, Band, Floats, Threshold
from classifiers.policy import LabelGoal, Policy
from classifiers.runtime.thresholds import band_of, families, language_of
from classifiers.text.language import LanguageDetector
from classifiers.text.normalise import normalise
from classifiers.training import calibrate
from classifiers.training.rows import REAL, Row

MOST_LOST = 0.005
"""Of all texts: those that the encoder names rightly and the first stage, with 95 % confidence, does not."""
MOST_NET_LOST = 0.001
"""The same less those that only the first stage names rightly, as counted."""
EXIT_CONFIDENCE = 0.95
EXIT_LEAST_ROWS = ceil(log(1 - EXIT_CONFIDENCE) / log(1 - MOST_LOST))
"""With fewer, not even none lost would show that few enough are."""
RARE = 20
"""Rows of a class, below which it is seen together with others like it that none of them is lost: among all rows a
label of three would not count, and whatever shares words with it is mostly something else."""
LEAST_SURE = 0.5
"""No threshold is lower."""

_FIRST_TESTED, _TESTED = 0.4, 20
"""Of what might be settled, and how many shares from there on. Beginning with fewer, one error among the surest ends
the sequence that many would not have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScores:
    """What both say of held-out rows. probabilities: (n, classes) of the first stage; known: (n,) whether it knows all
    of a text's tokens; truth: (n,) classes; right, before: (n,) whether it and the model without it name that; used:
    (n,) which rows count."""

    probabilities: Floats
    known: NDArray[np.bool_]
    truth: NDArray[np.int32]
    right: NDArray[np.bool_]
    before: NDArray[np.bool_]
    used: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where the first stage settles texts: from `act` on. Shares of all texts measured, but for the errors, which are
    of those settled: the first stage's, and what the model's was on the same texts without it."""

    act: float
    settled: float
    error: float
    error_before: float
    lost: float
    most_lost: float


def choose_exit(told: HeldOutScores, *, max_error: float = 1.0) -> Point | None:
    """The point that settles most texts among those that lose few enough; None where there is none.

    max_error: the most of what is settled that may be wrong, with 95 % confidence.
    """
    sure = np.where(told.known, told.probabilities.max(axis=1), 0.0)[told.used]
    order = np.argsort(-sure, kind="stable")
    sure, right, before = sure[order], told.right[told.used][order], told.before[told.used][order]
    total = len(sure)
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True)) if total else np.zeros(0, np.intp)
    ends = ends[sure[ends] >= LEAST_SURE]
    lost, gained, wrong, wrong_before = (
        np.cumsum(found, dtype=np.int64)[ends] for found in (~right & before, right & ~before, ~right, ~before)
    )
    settled, most_lost = ends + 1, highest_share(lost, total)
    few = rare(told.truth, told.used)[told.used][order]
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


def rare(truth: NDArray[np.int32], used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) which of the `used` rows are of a class that hardly any of these is of. truth: (n,) classes."""
    counts = np.bincount(truth[used], minlength=int(truth.max(initial=0)) + 1)
    found: NDArray[np.bool_] = used & (counts[truth] < RARE)
    return found


def _few_wrong(wrong: NDArray[np.int64], settled: NDArray[np.intp], max_error: float) -> NDArray[np.bool_]:
    """(points,) where no more than `max_error` of what is settled is wrong, with 95 % confidence for whichever of them
    is taken: shares chosen before are tested from the surest texts on, up to the first that fails (fixed sequence
    testing: Angelopoulos et al. 2021, "Learn then Test"). wrong, settled: (points,) counts, ascending.
    """
    if max_error >= 1:
        return np.ones(len(settled), bool)
    found = np.zeros(len(settled), bool)
    allowing_one = np.flatnonzero(highest_share(np.ones_like(wrong), settled) <= max_error)
    if len(allowing_one):
        first = max(settled[allowing_one[0]], _FIRST_TESTED * settled[-1])
        tested = np.unique(np.searchsorted(settled, np.linspace(first, settled[-1], _TESTED)))
        held = highest_share(wrong[tested], settled[tested]) <= max_error
        found[tested[np.logical_and.accumulate(held)]] = True
    return found


def least_share(count: int, total: int, confidence: float) -> float:
    """The share that lies below what was counted with that confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    return float(betaincinv(count, total - count + 1.0, 1 - confidence)) if count else 0.0


def highest_share(counts: NDArray[np.integer], totals: NDArray[np.integer] | int) -> NDArray[np.float64]:
    """The share that lies above what was counted with 95 % confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    highest = betaincinv(counts + 1.0, np.maximum(np.asarray(totals) - counts, 1e-9), EXIT_CONFIDENCE)
    return np.where(counts >= totals, 1.0, highest)


LEAST_ROWS = 50
"""Held-out rows of a band, below which its texts are judged by the common threshold."""
CONFIDENCE = 0.8
"""That a band errs more than is wanted. What a needless threshold costs is answers, what a missing one costs is
errors."""


def of_texts(policy: Policy, texts: Sequence[str]) -> list[Band]:
    """The band of each text; by language only where the policy names several."""
    known, detector = families(policy.languages), LanguageDetector()
    plain = [normalise(text) for text in texts]
    return [band_of(len(text), language_of(detector.stretches(text), known) if known else "") for text in plain]


def stricter(
    bands: Sequence[Band], confidences: Floats, correct: NDArray[np.bool_], *, act: float, max_error: float
) -> dict[Band, float]:
    """The thresholds of bands in which, with 80 % confidence, more than `max_error` of what `act` answers is wrong: the
    lowest that keeps to it on these rows, or `NEVER`'s where there is none.

    act: the common threshold. bands, confidences, correct: (n,) of held-out rows that are named.
    """
    own: dict[Band, float] = {}
    for band, here in _each(bands):
        sure, right = confidences[here], correct[here]
        answered = sure >= act
        wrong = least_share(int((answered & ~right).sum()), int(answered.sum()), CONFIDENCE)
        if len(sure) >= LEAST_ROWS and wrong > max_error:
            # of what is answered alone: with what lies below, however right that is, a lower one might seem to do
            reach = calibrate.act_for_error(sure[answered], right[answered], max_error)
            own[band] = reach.act if reach else NEVER.act
    return own


def told(
    bands: Sequence[Band], confidences: Floats, correct: NDArray[np.bool_], *, act: float, own: Mapping[Band, float]
) -> list[dict[str, Any]]:
    """For the report, the shortest texts first: what the common threshold does in each band, and the one in use."""
    found = []
    for band, here in _each(bands):
        sure, right, used = confidences[here], correct[here], own.get(band, act)
        found.append(
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
    return found


def _each(bands: Sequence[Band]) -> Iterator[tuple[Band, NDArray[np.bool_]]]:
    for band in sorted(set(bands), key=lambda one: (one.above, one.language)):
        yield band, np.array([one == band for one in bands], bool)


def _shares(answered: NDArray[np.bool_], right: NDArray[np.bool_]) -> dict[str, float | None]:
    wrong = (answered & ~right).sum() / answered.sum() if answered.any() else None
    return {
        "answered": round(float(answered.mean()), 5),
        "error": None if wrong is None else round(float(wrong), 5),
    }


Bools = NDArray[np.bool_]

SURE_MISSES = 0.005
"""Of harmful text that the small stage may call clean where the share asked allows it; wider is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where each text is settled. asked: (n,) by the large stage; the rest is clean.

    probabilities: (n, labels) of the stage that settled it.
    """

    asked: Bools
    probabilities: Floats

    @property
    def certain(self) -> Floats:
        """(n, labels) for choosing the large stage's thresholds: 0 of what the small one has cleared."""
        return np.where(self.asked[:, None], self.probabilities, np.float32(0))


def strictest(policy: Policy) -> float:
    """Of a policy's goals for safety with a larger encoder the largest share of harmful text that is to be caught."""
    _, goal = policy.goal_where(larger=True)
    stated = [goal] if goal else [label.goal or LabelGoal() for label in policy.labels.values()]
    return max(one.catch for one in stated)


def band(probabilities: Floats, harmful: Bools, *, most_asked: float, catch: float = LabelGoal().catch) -> Threshold:
    """The small stage's thresholds, the same for all labels, since any of them flags a text: below `unsure` a text is
    clean, and nothing is flagged by that stage alone.

    probabilities: (n, labels) of held-out text by the small stage; harmful: (n,); most_asked: share of harmless text
    that may go on to the large stage. It is less where hardly any harmful text lies lower. catch: the strictest of the
    policy's; what the small stage clears wrongly is at most half of what that allows, unless `most_asked` leaves more.
    """
    misses = min(SURE_MISSES, (1 - catch) / 2)
    highest = probabilities.max(axis=1)
    harmless, found = np.sort(highest[~harmful])[::-1], np.sort(highest[harmful])
    place = most(most_asked, len(harmless))
    asked = _beyond(float(harmless[place])) if place < len(harmless) else 0.0
    lowest = float(found[most(misses, len(found))]) if len(found) else 0.0
    return Threshold(act=NEVER.act, unsure=max(asked, lowest))


def _beyond(probability: float) -> float:
    """The lowest threshold that a probability does not reach: `NEVER`'s of what is certain."""
    limit = float(np.nextafter(np.float32(probability), np.float32(2)))
    return limit if limit <= 1 else NEVER.unsure


def through(small: Floats, large: Floats, limits: Threshold) -> Way:
    """small, large: (n, labels) probabilities by either stage, the large one's as if it were asked about all."""
    asked: Bools = np.asarray(small.max(axis=1) >= limits.unsure, bool)
    return Way(asked=asked, probabilities=np.where(asked[:, None], large, small))


Mask = NDArray[np.bool_]

REAL_ROWS, WRITTEN, BOTH = "real rows", "written text", "written and real text"
MOSTLY_REAL = "real rows, with written text where those are few"

_ENOUGH = 200
_ENOUGH_OF_A_CLASS = 5

_OTHER_HARMLESS, _EVERYDAY_TO_OTHERS = 20, 4


def measured_on(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> tuple[Mask, str]:
    """(n,) which held-out rows calibrate, and how to call them. held: (n,) their indexes.

    The real ones where there are enough, else all. A class with hardly any real row, of safety also what is harmless,
    is shown by written ones as well: by all of them where each class is judged by itself; where all share one
    threshold, by so few that it counts no more than it is met.
    """
    here = [rows[index] for index in held.tolist()]
    real, kept = is_real(rows, held), _few_everyday(policy, here)
    if not enough(real):
        return kept, BOTH if real.any() else WRITTEN
    used = real.copy()
    for one in _classes(policy, here):
        lacking = _ENOUGH_OF_A_CLASS - int((one & real).sum())
        if lacking > 0:
            written = np.flatnonzero(one & ~real & kept)
            used[written if policy.multi_label else written[:lacking]] = True
    return used, REAL_ROWS if (used == real).all() else MOSTLY_REAL


def _few_everyday(policy: Policy, held: Sequence[Row]) -> Mask:
    """(n,) all rows, but of safety no more everyday sentences than a quarter of the other harmless rows, once there are
    enough of these: hardly any guard flags such a sentence, so many of them make any look better than it is."""
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
        # evenly from among them: neighbours are about the same
        kept[places[np.linspace(0, len(places) - 1, most).astype(np.intp)]] = True
    return kept


def is_real(rows: Sequence[Row], held: NDArray[np.intp]) -> Mask:
    """(n,) whether users wrote them."""
    return np.array([rows[index].source in REAL for index in held.tolist()], bool)


def is_foreign(rows: Sequence[Row], held: NDArray[np.intp]) -> Mask:
    """(n,) whether they are in a language on which the classifier abstains when served."""
    return np.array([bool(rows[index].foreign) for index in held.tolist()], bool)


def answerable(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> Mask:
    """(n,) by which held-out rows a judge of one label learns how sure it may be: those of `measured_on` as if there
    were no foreign ones, on which it abstains when served, however sure it is; with these where there are no others."""
    near = ~is_foreign(rows, held)
    if not near.any():
        near[:] = True
    found: Mask = np.zeros(len(held), bool)
    found[near] = measured_on(policy, rows, held[near])[0]
    return found


def enough(real: Mask) -> bool:
    """Whether real rows are enough to calibrate by."""
    return bool(real.sum() >= _ENOUGH)


def _classes(policy: Policy, held: Sequence[Row]) -> Iterator[Mask]:
    """(n,) for each class whether a row is of it. Not `other`: everyday text by itself is reported apart."""
    for label in policy.labels:
        yield np.array([label in row.labels for row in held], bool)
    if policy.kind == "safety":
        yield np.array([not row.labels for row in held], bool)
