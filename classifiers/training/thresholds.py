"""Held-out scores → the model's thresholds, and whether the policy's goals were reached. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, Reach, fewest, most, ratio, share, weighted_share
from classifiers.model.model import NEVER, Band, Floats, Threshold
from classifiers.policy import OTHER, Goal, Policy
from classifiers.training import calibrate
from classifiers.training import operating_points as by_band
from classifiers.training.operating_points import IN_SCOPE, MOSTLY_REAL, REAL_ROWS, Bools

_MOST_DOUBT = 0.1
"""The share of harmless text that may be in doubt, over all labels together."""


def _safety_reach(
    goal: Goal | None,
    scores: Floats,
    held: Bools,
    harmless: Bools,
    *,
    most_doubt: float,
    least: Threshold,
    on: str,
    where: str,
    label: str | None,
) -> tuple[Threshold, dict[str, Any], str]:
    """The threshold that aims at a safety goal, its figures for the report, and a line if the goal is not reached.

    scores: (n,) of a label, or the highest of all labels that share a goal; held: (n,) whether it, or any, holds;
    most_doubt: the share of harmless text that may be in doubt or flagged; least: the lowest thresholds; where: the
    goal's place in the policy. A side without rows is neither met nor missed; where the policy states it, that is
    reported as not shown.
    """
    stated, wanted = (goal.model_fields_set if goal else set()), goal or Goal()
    aims = {"catch": wanted.catch, "false_alarms": wanted.false_alarms}
    threshold = calibrate.safety_threshold(
        scores, holds=held, harmless=harmless, most_doubt=most_doubt, stated=stated, **aims
    )
    act = max(threshold.act, least.act)
    threshold = Threshold(act=act, unsure=min(max(threshold.unsure, least.unsure), act))
    flagged = scores >= threshold.act
    grey = (scores >= threshold.unsure) & ~flagged
    caught, alarms = (float(flagged[rows].mean()) if rows.any() else None for rows in (held, harmless))
    catches = None if caught is None else caught >= wanted.catch - ROUNDING
    sides = {"catch": catches, "false_alarms": None if alarms is None else alarms <= wanted.false_alarms + ROUNDING}
    demanded = {side: met for side, met in sides.items() if side in stated}
    record = {
        "label": label,
        **aims,
        "stated": goal is not None,
        "measured_on": on,
        **share("caught", int(flagged[held].sum()), int(held.sum())),
        **share("alarms", int(flagged[harmless].sum()), int(harmless.sum())),
        "doubted": ratio(int(grey[held].sum()), int(held.sum())) or 0.0,
        "met": _all_met(*sides.values()),
        "demanded": list(demanded),
        "demanded_met": _all_met(*demanded.values()),
    }
    missed = ""
    if unshown := [side for side, met in demanded.items() if met is None]:
        missed = f"{where}: {' and '.join(unshown)}: no rows to measure it on; give examples or data"
    elif False in demanded.values():
        missed = f"{where}: {_not_reached(wanted, on, caught, alarms)}"
    return threshold, record, missed


def _not_reached(wanted: Goal, on: str, caught: float | None, alarms: float | None) -> str:
    best = " at ".join("–" if reached is None else f"{reached:.1%}" for reached in (caught, alarms))
    aim = f"catch {wanted.catch:.1%} at {wanted.false_alarms:.1%} false alarms"
    return f"{aim} is not reached on {on}; the nearest reachable is {best}"


def _all_met(*sides: bool | None) -> bool | None:
    """Whether all sides are met. False where any is missed; else None where any could not be measured."""
    return False if False in sides else None if None in sides else True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """What thresholds reach, in counts. answers: labels given; to_no_label: of these; error: the share of these that is
    wrong, with its interval, where there are any; answered: rows of a label that are given one, rightly or not;
    in_scope: rows that have a label, at least 1."""

    answers: int
    to_no_label: int
    error: Mapping[str, Any]
    answered: int
    in_scope: int

    def record(self) -> dict[str, Any]:
        """For the report. Without any answer there is no error either, which shows nothing."""
        return {
            "answered": round(self.answered / self.in_scope, 5),
            "answers": self.answers,
            "answers_to_no_label": self.to_no_label,
            **(self.error if self.answers else {}),
        }

    def describe(self, noun: str) -> str:
        """For people. noun: for an answer."""
        error = f"{self.error['error']:.1%} with" if self.answers else "to name nothing, with"
        given = _counted(self.answers, noun, self.to_no_label, "to text of no label")
        return f"{error} {self.answered / self.in_scope:.1%} answered ({given})"


def _asked(goal: Goal, on: str, rows: int, out_of_scope: int) -> tuple[dict[str, Any], str]:
    """A goal and the rows it is judged on, for the report, and the line if it is missed. out_of_scope: rows of everyday
    text, `other` or no topic."""
    asked = {"max_error": goal.max_error, "min_answered": goal.min_answered, "measured_on": on}
    wanted = f"at most {goal.max_error:.1%} error with at least {goal.min_answered:.1%} answered"
    judged = _counted(rows, "row", out_of_scope, "everyday sentences and other text of no label")
    missed = f"goal: {wanted} is not reached on {on} ({judged})"
    return {**asked, "rows": rows, "rows_of_no_label": out_of_scope}, missed


def _counted(count: int, noun: str, part: int, what: str) -> str:
    more = f", {part} of them {what}" if part else ""
    return f"{count} {noun}{'' if count == 1 else 's'}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenThresholds:
    """thresholds: by class; goals: what was asked for and reached, for the report; missed: a line for each stated goal
    that was not reached; bands: the thresholds of bands that have their own; by_band: their figures, for the report;
    out_of_scope: of one label, what is answered at the policy's share of text of no label, for the report; traffic: of
    safety, what is blocked and in doubt of harm and of ordinary traffic, where that bounds the thresholds."""

    thresholds: dict[str, Threshold]
    goals: list[dict[str, Any]]
    missed: tuple[str, ...] = ()
    bands: dict[Band, dict[str, Threshold]] = field(default_factory=dict)
    by_band: list[dict[str, Any]] = field(default_factory=list)
    out_of_scope: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None

    def for_band(self, band: Band) -> dict[str, Threshold]:
        """The thresholds of a band's texts."""
        return self.bands.get(band, self.thresholds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """Held-out rows that are given a label. confidences, correct, counted: (n,), the last whether a row has some label;
    weights: (n,); in_scope, outside: how many rows have a label, at least 1, and none, answered or not."""

    confidences: Floats
    correct: Bools
    counted: Bools
    weights: NDArray[np.float64]
    in_scope: int
    outside: int

    def reached(self, act: float | Floats) -> _Reached:
        """Where those of at least this confidence are answered."""
        answered: Bools = self.confidences >= act
        return _Reached(
            answers=int(answered.sum()),
            error=weighted_share("error", ~self.correct[answered], self.weights[answered]) if answered.any() else {},
            to_no_label=int((answered & ~self.counted).sum()),
            answered=int((answered & self.counted).sum()),
            in_scope=self.in_scope,
        )

    def within(self, max_error: float) -> Reach | None:
        """Where most is answered with at most this share of it wrong."""
        return calibrate.act_for_error(self.confidences, self.correct, max_error, self.weights)

    def nearest(self, least: int) -> Reach | None:
        """Where the fewest answers are wrong, with `least` rows of a label answered."""
        return calibrate.nearest_reach(self.confidences, self.correct, self.counted, least, self.weights)

    def best(self, nearest: Reach | None, reach: Reach | None) -> str:
        """What can be reached of a missed goal. reach: the point within the error wanted."""
        if nearest is None:
            return "nothing can be answered"
        best = f"the nearest reachable is {self.reached(nearest.act).describe('answer')}"
        if reach and reach.error < nearest.error and (within := self.reached(reach.act)).answered:
            best += f"; within the error wanted, {within.describe('answer')}"
        return best


def for_one(
    policy: Policy,
    classes: Sequence[str],
    probabilities: Floats,
    truth: NDArray[np.int32],
    *,
    on: str,
    novel: Bools | None = None,
    bands: Sequence[Band] = (),
    kinds: Sequence[str] | None = None,
) -> ChosenThresholds:
    """Single-label: one threshold for all labels, and a higher one for bands in which it lets too many errors through.

    Rows weigh as the policy's share of text out of scope says, each kind of such text alike. `other` has a threshold of
    its own, by the texts that are likeliest `other`. Answered is a share of the rows that have a label; a label given
    to text out of scope is an error and no answer.

    probabilities: (n, classes) of held-out text; truth: (n,), -1 or `other` out of scope; on: what it was measured on,
    for people; novel: (n,) rows that are not answered; bands: of each row, or none. kinds: (n,) of text out of scope,
    `IN_SCOPE` for other rows; by default all is of one kind.
    """
    guess = probabilities.argmax(axis=1)
    other = classes.index(OTHER) if OTHER in classes else -1
    outside = (truth == other) | (truth < 0)
    groups = np.where(outside, OTHER, IN_SCOPE) if kinds is None else np.asarray(kinds)
    weights = by_band.weights_at(groups, policy.out_of_scope)
    named = guess != other if novel is None else (guess != other) & ~novel
    answers = _Answers(
        confidences=probabilities.max(axis=1)[named],
        correct=(guess == truth)[named],
        counted=~outside[named],
        weights=weights[named],
        in_scope=max(int((~outside).sum()), 1),
        outside=int(outside.sum()),
    )
    apart = _other_act(probabilities, guess == other, outside)
    rows = list(compress(bands, named))
    chosen = _one_chosen(policy, classes, answers, rows, apart=apart, on=on)
    limits = np.array([chosen.for_band(band)[classes[0]].act for band in rows] or chosen.thresholds[classes[0]].act)
    answered: Bools = np.zeros(len(truth), bool)
    answered[named] = answers.confidences >= limits.astype(np.float32)
    traffic = by_band.at_share(groups, weights, answered, guess == truth)
    return replace(chosen, out_of_scope={"share": policy.out_of_scope, "measured_on": on, **traffic})


def _one_chosen(
    policy: Policy,
    classes: Sequence[str],
    answers: _Answers,
    rows: Sequence[Band],
    *,
    apart: float,
    on: str,
) -> ChosenThresholds:
    """The thresholds by the policy's goal, or by default. apart: the threshold of `other`; on: as of `for_one`."""
    if policy.goal is None:
        reach = answers.within(calibrate.DEFAULT_ERROR)
        real = on in (REAL_ROWS, MOSTLY_REAL)
        limits = calibrate.ONE_LABEL_ACTS if real else calibrate.ONE_LABEL_ACTS_BY_WRITTEN_TEXT
        act = float(np.clip(reach.act if reach else 1.0, *limits))
        return _by_band((act, apart), [], classes, rows, answers, max_error=calibrate.DEFAULT_ERROR, least=0)
    error, least = policy.goal.max_error, fewest(policy.goal.min_answered, answers.in_scope)
    reach = answers.within(error)
    met = reach is not None and answers.reached(reach.act).answered >= least
    nearest = reach if met else answers.nearest(least)
    act = nearest.act if nearest else NEVER.act
    asked, missed = _asked(policy.goal, on, answers.in_scope + answers.outside, answers.outside)
    goals = [{**asked, "met": met, **(answers.reached(act).record() if nearest else {})}]
    if met:
        return _by_band((act, apart), goals, classes, rows, answers, max_error=error, least=least)
    missed = f"{missed}; {answers.best(nearest, reach)}"
    return ChosenThresholds(thresholds=_same(classes, act, apart), goals=goals, missed=(missed,))


_OTHER_ACTS: Final = (0.95, 0.99)
"""The lowest and the highest threshold of `other`. From .6 on, 3, 10 and 17 % of a policy's own examples with one, two
and three typos were called `other`; from .95 on, 0.4, 0.8 and 1.9 %."""


def _other_act(probabilities: Floats, named: Bools, right: Bools) -> float:
    """From which confidence on a text is `other`: one in twenty of these is wrong. All (n,) or (n, classes)."""
    reach = calibrate.act_for_error(probabilities.max(axis=1)[named], right[named], calibrate.DEFAULT_ERROR)
    return float(np.clip(reach.act if reach else 1.0, *_OTHER_ACTS))


def _by_band(
    acts: tuple[float, float],
    goals: list[dict[str, Any]],
    classes: Sequence[str],
    rows: Sequence[Band],
    answers: _Answers,
    *,
    max_error: float,
    least: int,
) -> ChosenThresholds:
    """A common threshold, with stricter ones for bands that need them, unless fewer than `least` of the counted rows
    would be answered then: the policy's goal comes first. acts: of the labels, and of `other`."""
    act, apart = acts
    if not rows:
        return ChosenThresholds(thresholds=_same(classes, act, apart), goals=goals)
    confidences, correct, weights = answers.confidences, answers.correct, answers.weights
    own = by_band.stricter(rows, confidences, correct, weights, act=act, max_error=max_error)
    reached = answers.reached(np.array([own.get(band, act) for band in rows], np.float32))
    if reached.answered < least:
        own = {}
    return ChosenThresholds(
        thresholds=_same(classes, act, apart),
        goals=[record | (reached.record() if own else {}) for record in goals],
        bands={band: _same(classes, strict, apart) for band, strict in own.items()},
        by_band=by_band.band_summary(rows, confidences, correct, weights, act=act, own=own),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinaryTraffic:
    """Held-out text of ordinary traffic. probabilities: (m, labels); kinds: (m,) what kind of text each is; times: how
    often each text is among them, and each harmful one among those that it is held against."""

    probabilities: Floats
    kinds: NDArray[np.str_]
    times: int

    @classmethod
    def of(cls, probabilities: Floats, kinds: NDArray[np.str_], *, times: int = 1) -> "OrdinaryTraffic":
        """The rows that have a kind."""
        return cls(probabilities=probabilities[kinds != ""], kinds=kinds[kinds != ""], times=times)


def for_any(
    policy: Policy,
    probabilities: Floats,
    holds: NDArray[np.bool_],
    on: str,
    *,
    larger: bool = False,
    foreign: Bools | None = None,
    ordinary: OrdinaryTraffic | None = None,
) -> ChosenThresholds:
    """Multi-label: thresholds for each label.

    For safety, act at the goal for false alarms, unsure at the goal for caught text; for topics, act where few labels
    given are wrong, unsure where few are missed. probabilities, holds: (n, labels) of held-out text; larger: whether a
    larger encoder decides, which may have its own goal; foreign: (n,) rows that are not answered. ordinary: for which
    a safety label's thresholds are raised where needed."""
    if policy.kind == "safety":
        return _for_harms(policy, probabilities, holds, on, larger=larger, ordinary=ordinary)
    limits = {
        name: calibrate.topic_threshold(
            probabilities[:, index],
            holds=holds[:, index],
            max_error=policy.goal.max_error if policy.goal else None,
            most_doubt=_MOST_DOUBT / len(policy.labels),
        )
        for index, name in enumerate(policy.labels)
    }
    if policy.goal is None:
        return ChosenThresholds(thresholds=limits, goals=[])
    act, unsure = (np.array([getattr(limit, side) for limit in limits.values()]) for side in ("act", "unsure"))
    named, of_a_label = probabilities >= act, np.asarray(holds.any(axis=1))
    sure = named.any(axis=1) & ~((probabilities >= unsure) & ~named).any(axis=1) & of_a_label
    wrong, count = int((named & ~holds).sum()), int(named.sum())
    reached = _Reached(
        answers=count,
        error=share("error", wrong, count),
        to_no_label=int(named[~of_a_label].sum()),
        # text of no label does not count, since it would make any model look decided
        answered=int((sure if foreign is None else sure & ~foreign).sum()),
        in_scope=max(int(of_a_label.sum()), 1),
    )
    asked, missed = _asked(policy.goal, on, len(holds), int((~of_a_label).sum()))
    kept = wrong / count <= policy.goal.max_error + ROUNDING if count else None
    met = _all_met(kept, reached.answered >= fewest(policy.goal.min_answered, reached.in_scope))
    record = {**asked, "met": met, **reached.record()}
    record["never_named"] = [name for name, limit in limits.items() if limit.act >= NEVER.act]
    missed = f"{missed}; the nearest reachable is {reached.describe('label')}"
    if met is None:
        missed = f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
    return ChosenThresholds(thresholds=limits, goals=[record], missed=() if met else (missed,))


_RIGHT_BLOCKS, _LEAST_BLOCKED, _MOST_FLAGGED = 0.9, 0.5, 0.05
"""The share of blocks that are to be right, the least probability of one, and of ordinary traffic, the most that may be
flagged or in doubt."""

_LEAST_RIGHT = np.arange(0.02, 1, 0.02)
"""Of the blocks that a threshold adds at its lower end, shares that may have to be right."""


def _least_in_traffic(ordinary: Floats, harmful: Floats, harmful_share: float) -> list[Threshold]:
    """The lowest threshold of each label that ordinary traffic allows: most harm is blocked, and of all blocks nine in
    ten are right.

    ordinary, harmful: (m, labels), (n, labels) probabilities of harmless and of harmful text; harmful_share: of the
    traffic. Labels differ in how much ordinary text looks like them: orders to an assistant look like attacks on it,
    and a threshold for all would be theirs. So each label's last blocks have to be right as often as any other's.
    """
    shares = (1 - harmful_share) / max(len(ordinary), 1), harmful_share / max(len(harmful), 1)
    each = list(zip(ordinary.T, harmful.T, strict=True))
    acts = [NEVER.act] * len(each)
    for right in _LEAST_RIGHT:
        tried = np.array([_act_at(calm, harm, shares, right) for calm, harm in each])
        wrong, caught = (
            share * (part >= tried).any(axis=1).sum() for share, part in zip(shares, (ordinary, harmful), strict=True)
        )
        if 0 < caught >= _RIGHT_BLOCKS * (caught + wrong):
            acts = tried.tolist()
            break
    rank = most(_MOST_FLAGGED / len(each), len(ordinary))
    doubts = (float(np.nextafter(np.sort(calm)[::-1][rank], np.float32(2))) for calm, _ in each)
    return [Threshold(act=act, unsure=min(act, unsure)) for act, unsure in zip(acts, doubts, strict=True)]


def _act_at(calm: Floats, harm: Floats, shares: tuple[float, float], right: float) -> float:
    """The threshold of a label whose last blocks are right this often. shares: of the traffic, of each text of calm
    and of harm."""
    levels = np.unique(np.concatenate([calm, harm]))
    levels = np.concatenate([[_LEAST_BLOCKED], levels[levels > _LEAST_BLOCKED], [NEVER.act]])
    wrong, caught = (len(part) - np.searchsorted(np.sort(part), levels) for part in (calm, harm))
    return float(levels[np.argmax((1 - right) * shares[1] * caught - right * shares[0] * wrong)])


def _for_harms(
    policy: Policy, probabilities: Floats, holds: Bools, on: str, *, larger: bool, ordinary: OrdinaryTraffic | None
) -> ChosenThresholds:
    """A threshold for each label by its own goal; one for all labels where the policy states one goal for all."""
    harmful: Bools = np.asarray(holds.any(axis=1))
    where, goal = policy.goal_where(larger=larger)
    bounded = ordinary is not None and len(ordinary.kinds) > 0
    asked: list[tuple[str | None, str, Goal | None, Floats, Bools]]
    if goal:
        asked = [(None, where, goal, probabilities.max(axis=1), harmful)]
        doubt = goal.false_alarms + _MOST_DOUBT
    else:
        asked = [
            (name, f"labels.{name}.goal", label.goal, probabilities[:, index], holds[:, index])
            for index, (name, label) in enumerate(policy.labels.items())
        ]
        doubt = _MOST_DOUBT / len(policy.labels)
    least = [Threshold(act=0.0, unsure=0.0)] * len(asked)
    if ordinary is not None and bounded:
        calm, harm = ordinary.probabilities, probabilities[harmful]
        if goal:
            calm, harm = (part.max(axis=1, keepdims=True) for part in (calm, harm))
        least = _least_in_traffic(calm, harm, policy.harmful_share)
    reached = [
        _safety_reach(own, scores, held, ~harmful, most_doubt=doubt, least=floor, on=on, where=place, label=label)
        for (label, place, own, scores, held), floor in zip(asked, least, strict=True)
    ]
    limits = [limit for limit, _, _ in reached] * (len(policy.labels) if goal else 1)
    traffic = None
    if ordinary is not None and bounded:
        bound = {"harmful_share": policy.harmful_share, "can_block": any(limit.act < NEVER.act for limit in limits)}
        traffic = {**bound, **_in_traffic(limits, probabilities[harmful], ordinary)}
    return ChosenThresholds(
        traffic=traffic,
        thresholds=dict(zip(policy.labels, limits, strict=True)),
        goals=[record for _, record, _ in reached],
        missed=tuple(missed for _, _, missed in reached if missed),
    )


def _in_traffic(limits: Sequence[Threshold], harmful: Floats, ordinary: OrdinaryTraffic) -> dict[str, Any]:
    """What is blocked and in doubt, for the report. limits: of each label; harmful: (n, labels) of harmful text."""
    act, unsure = (np.array([getattr(limit, side) for limit in limits], np.float32) for side in ("act", "unsure"))

    def shares(probabilities: Floats) -> tuple[dict[str, Any], Bools]:
        blocked: Bools = np.asarray((probabilities >= act).any(axis=1))
        flagged: Bools = np.asarray((probabilities >= unsure).any(axis=1))
        # the same text again says little more: intervals are of as many texts as there are
        texts, counts = len(flagged) // ordinary.times, (blocked, flagged & ~blocked)
        block, doubt = (round(int(count.sum()) / ordinary.times) for count in counts)
        return {"texts": texts, **share("blocked", block, texts), **share("doubted", doubt, texts)}, flagged

    calm, flagged = shares(ordinary.probabilities)
    kinds, places = np.unique(ordinary.kinds, return_inverse=True)
    counts, hits = np.bincount(places), np.bincount(places, flagged).astype(int)
    each = zip(kinds.tolist(), counts.tolist(), hits.tolist(), strict=True)
    return {
        "harmful": shares(harmful)[0],
        "ordinary": calm,
        "kinds": {kind: {"rows": rows, "flagged": found} for kind, rows, found in each},
    }


def _same(classes: Sequence[str], act: float, other: float) -> dict[str, Threshold]:
    """act: of every label; other: of `other`."""
    acts = {name: other if name == OTHER else act for name in classes}
    return {name: Threshold(act=own, unsure=own) for name, own in acts.items()}


def describe(thresholds: Mapping[str, Threshold]) -> dict[str, dict[str, float]]:
    """Thresholds for the report; 1 where none is ever reached."""
    return {
        name: {"act": round(min(t.act, 1.0), 5), "unsure": round(min(t.unsure, 1.0), 5)}
        for name, t in thresholds.items()
    }
