"""Operating points: what a first stage may settle, bands with stricter thresholds, and which rows calibrate.

Pure, except for the language detector. Bands: docs/design/001-heads-and-thresholds.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import most
from classifiers.model.model import NEVER, Band, Bools, Floats, Threshold
from classifiers.policy import NONE, OTHER, Goal, Policy
from classifiers.runtime.thresholds import band_of, families, language_of
from classifiers.text.language import LanguageDetector
from classifiers.text.normalise import normalise
from classifiers.training import calibrate
from classifiers.training.rows import REAL, Row

Weights = NDArray[np.float64]

MOST_LOST = 0.005
"""The largest share of texts that the encoder gets right and the first stage wrong, with 95 % confidence."""
MOST_NET_LOST = 0.001
"""The same minus texts that only the first stage gets right, as counted."""
EXIT_CONFIDENCE = 0.95
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
    """Held-out scores of a first stage and of the model without it. probabilities: (n, classes) of the first stage;
    known: (n,) which texts are not novel to it; truth: (n,) classes; right, before: (n,) whether it, and the model
    without it, are right; used: (n,) which rows count."""

    probabilities: Floats
    known: Bools
    truth: NDArray[np.int32]
    right: Bools
    before: Bools
    used: Bools


def choose_exit(scores: HeldOutScores, *, max_error: float = 1.0) -> float | None:
    """The probability from which a first stage settles most texts of those that lose few enough; None without one.
    max_error: the most of what is settled that may be wrong, with 95 % confidence."""
    sure = np.where(scores.known, scores.probabilities.max(axis=1), 0.0)[scores.used]
    order = np.argsort(-sure, kind="stable")
    sure, right, before, few = (
        values[order]
        for values in (
            sure,
            *(mask[scores.used] for mask in (scores.right, scores.before, rare(scores.truth, scores.used))),
        )
    )
    total = len(sure)
    ends = np.flatnonzero(np.diff(sure, append=-1) != 0)
    ends = ends[sure[ends] >= LEAST_SURE]
    lost, gained, wrong, few_lost, few_gained = (
        np.cumsum(mask, dtype=np.int64)[ends]
        for mask in (~right & before, right & ~before, ~right, few & before & ~right, few & right & ~before)
    )
    settled, most_lost = ends + 1, highest_share(lost, total)
    fit = (most_lost <= MOST_LOST) & (lost - gained <= MOST_NET_LOST * total) & (few_lost <= few_gained)
    fit &= _few_wrong(wrong, settled, max_error)
    return float(sure[ends[np.flatnonzero(fit)[-1]]]) if fit.any() else None


def rare(truth: NDArray[np.int32], used: Bools) -> Bools:
    """(n,) which of the `used` rows are of a rare class. truth: (n,) classes."""
    counts = np.bincount(truth[used], minlength=int(truth.max(initial=0)) + 1)
    return used & (counts[truth] < RARE)


def _few_wrong(wrong: NDArray[np.int64], settled: NDArray[np.intp], max_error: float) -> Bools:
    """(points,) where, with 95 % confidence for whichever is taken, at most `max_error` of the settled text is wrong.
    Shares chosen before are tested from the surest texts on, up to the first that fails (fixed sequence testing:
    Angelopoulos et al. 2021, "Learn then Test"). wrong, settled: (points,) counts, ascending."""
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
    bands: Sequence[Band], confidences: Floats, correct: Bools, weights: Weights, *, act: float, max_error: float
) -> dict[Band, float]:
    """Thresholds of bands in which, with 80 % confidence, more than `max_error` of the answers from `act` on are wrong:
    the lowest that keeps to it on these rows, or `NEVER`'s. act: the common threshold. bands, confidences, correct,
    weights: (n,) of held-out rows that are named."""
    from scipy.special import betaincinv

    own: dict[Band, float] = {}
    for band, here in _each(bands):
        # only answered rows count: right rows below the common threshold could make a lower one look good enough
        answered = here & (confidences >= act)
        own_weights = weights[answered]
        # as many equal rows tell as much (Kish 1965)
        alike = own_weights.sum() ** 2 / max((own_weights**2).sum(), 1e-300)
        wrong = alike * weights[answered & ~correct].sum() / max(own_weights.sum(), 1e-300)
        # Clopper and Pearson 1934, one-sided
        least = float(betaincinv(wrong, alike - wrong + 1.0, 1 - CONFIDENCE)) if wrong else 0.0
        if here.sum() >= LEAST_ROWS and least > max_error:
            reach = calibrate.act_for_error(confidences[answered], correct[answered], max_error, own_weights)
            own[band] = reach.act if reach else NEVER.act
    return own


def band_summary(
    bands: Sequence[Band],
    confidences: Floats,
    correct: Bools,
    weights: Weights,
    *,
    act: float,
    own: Mapping[Band, float],
) -> list[dict[str, Any]]:
    """For the report, the shortest texts first: the figures of each band at the common threshold and at its own."""

    def shares(here: Bools, threshold: float) -> dict[str, float | None]:
        answered = here & (confidences >= threshold)
        return {"answered": _part(answered, here, weights), "error": _part(answered & ~correct, answered, weights)}

    return [
        {
            "above": band.above,
            "up_to": band.up_to,
            "language": band.language,
            "rows": int(here.sum()),
            "common": shares(here, act),
            "act": round(min(own.get(band, act), 1.0), 5),
            "own": band in own,
            **shares(here, own.get(band, act)),
        }
        for band, here in _each(bands)
    ]


def _part(part: Bools, whole: Bools, weights: Weights) -> float | None:
    """The share of a part by weight; None where there is nothing to weigh."""
    return round(float(weights[part].sum() / weights[whole].sum()), 5) if whole.any() else None


IN_SCOPE = ""
"""The kind of a row that has a label."""
EVERYDAY, SERVICES, NEIGHBOURS = "everyday sentences", "messages to other services", "messages of labels left out"
"""Kinds of text out of scope, besides the policy's own rows of `other`. The last one stands for what neighbours of the
task are asked: messages of a label, judged by a head that does not know it."""


_ENOUGH_OF_A_KIND = 20
"""Rows of a kind of text out of scope from which it weighs as much as others. Of two `not` lines one that was answered
made 20 % of all such text answered, where it was 1 of 207 and 20 of 188 of the other kinds."""


def weights_at(kinds: NDArray[np.str_], share: float) -> Weights:
    """(n,) what rows weigh where `share` of the traffic is out of scope: all of it together 1, each of its kinds alike,
    though one of few rows weighs less. kinds: (n,)."""
    names, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    # none weighs nothing, since a share of nothing is undefined
    share = min(max(share, 1e-9), 1 - 1e-9)
    outside = names != IN_SCOPE
    shown = np.where(outside, np.minimum(counts, _ENOUGH_OF_A_KIND), 0)
    each = np.where(outside, share * shown / max(int(shown.sum()), 1), 1 - share) / counts
    return each[place]


def at_share(kinds: NDArray[np.str_], weights: Weights, answered: Bools, correct: Bools) -> dict[str, Any]:
    """For the report: the share of the traffic that is answered, of these the share that is wrong, the share of text
    out of scope that is answered, and of each of its kinds how many rows are. All: (n,)."""
    every, outside = np.ones(len(kinds), bool), kinds != IN_SCOPE
    return {
        "answered": _part(answered, every, weights),
        "error": _part(answered & ~correct, answered, weights),
        "outside_answered": _part(answered & outside, outside, weights),
        "kinds": {
            str(kind): {"rows": int((kinds == kind).sum()), "answered": int((answered & (kinds == kind)).sum())}
            for kind in np.unique(kinds[outside])
        },
    }


def _each(bands: Sequence[Band]) -> Iterator[tuple[Band, Bools]]:
    for band in sorted(set(bands), key=lambda band: (band.above, band.language)):
        yield band, np.array([other == band for other in bands], bool)


SURE_MISSES = 0.005
"""The share of harmful text that the small stage may clear; a wider band is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePath:
    """Which stage settles each text. asked: (n,) settled by the large stage; the rest is clean. probabilities: (n,
    labels) of the stage that settled it."""

    asked: Bools
    probabilities: Floats

    @property
    def certain(self) -> Floats:
        """(n, labels) for choosing the large stage's thresholds: 0 for text that the small one has cleared."""
        return np.where(self.asked[:, None], self.probabilities, np.float32(0))

    def only(self, texts: Bools) -> "CascadePath":
        """Of some texts. texts: (n,) a mask."""
        return CascadePath(asked=self.asked[texts], probabilities=self.probabilities[texts])


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
    asked = float(np.nextafter(np.float32(harmless[place]), np.float32(2))) if place < len(harmless) else 0.0
    lowest = float(harm[most(misses, len(harm))]) if len(harm) else 0.0
    return Threshold(act=NEVER.act, unsure=NEVER.unsure if asked > 1 else max(asked, lowest))


def cascade_path(small: Floats, large: Floats, limits: Threshold) -> CascadePath:
    """Two stages combined. small, large: (n, labels) probabilities of each stage, the large one's for all texts."""
    asked: Bools = np.asarray(small.max(axis=1) >= limits.unsure, bool)
    return CascadePath(asked=asked, probabilities=np.where(asked[:, None], large, small))


REAL_ROWS, WRITTEN, BOTH = "real rows", "written text", "written and real text"
MOSTLY_REAL = "real rows, with written text where those are few"

_ENOUGH = 200
_ENOUGH_OF_A_CLASS = 5

_OTHER_HARMLESS, _EVERYDAY_TO_OTHERS = 20, 4


def ordinary_kinds(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> NDArray[np.str_]:
    """(n,) of which kind of ordinary traffic held-out rows are; empty of others. held: (n,) their indexes. What the
    guard has learned that the policy builds on is left out: it shows nothing."""
    here = [rows[index] for index in held.tolist()]
    return np.array(["" if policy.builds_on and row.weight else row.ordinary_kind for row in here], np.str_)


def measured_on(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> tuple[Bools, str]:
    """(n,) which held-out rows calibrate, and what to call them. held: (n,) their indexes. Real rows where there are
    enough, else all rows. A class with hardly any real row (for safety, harmless text too) gets written rows as well:
    all of them where each class has its own threshold, only a few where all share one."""
    here = [rows[index] for index in held.tolist()]
    real, kept = is_real(rows, held), _few_everyday(policy, here)
    if policy.builds_on:
        # among a thousand ordinary lines, the harm of a policy of few lines would be unlikely everywhere
        kept &= ordinary_kinds(policy, rows, held) == ""
    if not enough(real):
        return kept, BOTH if real.any() else WRITTEN
    used = real.copy()
    # everyday text is reported apart, so `other` is no class here
    classes = [*policy.labels, *([NONE] if policy.kind == "safety" else [])]
    for name in classes:
        members: Bools = np.array([name in (row.labels or (NONE,)) for row in here], np.bool_)
        lacking = _ENOUGH_OF_A_CLASS - int((members & real).sum())
        if lacking > 0:
            written = np.flatnonzero(members & ~real & kept)
            used[written if policy.multi_label else written[:lacking]] = True
    return used, REAL_ROWS if (used == real).all() else MOSTLY_REAL


def _few_everyday(policy: Policy, held: Sequence[Row]) -> Bools:
    """(n,) all rows; for safety at most one everyday sentence for four other harmless rows, once there are enough of
    these. No guard flags such sentences, so many of them would make any guard look good."""
    kept = np.ones(len(held), bool)
    places = np.flatnonzero([not row.labels and row.source == "builtin" for row in held])
    others = sum(not row.labels for row in held) - len(places)
    most = others // _EVERYDAY_TO_OTHERS
    if policy.kind == "safety" and others >= _OTHER_HARMLESS and len(places) > most:
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


def of_no_label(rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) whether they are out of scope of a single-label policy."""
    return np.array([rows[index].labels == (OTHER,) for index in held.tolist()], bool)


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
