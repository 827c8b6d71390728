"""Held-out scores of one label a text → thresholds, and whether the policy's goals were reached; and the other way, of
a version: a threshold → what it does, and the goal that brings it. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import Reach, fewest, weighted_share
from classifiers.model.model import NEVER, Band, Bools, Floats, Threshold
from classifiers.policy import OTHER, Goal, Policy
from classifiers.training import calibrate
from classifiers.training import operating_points as by_band
from classifiers.training.operating_points import IN_SCOPE, MOSTLY_REAL, REAL_ROWS


def all_met(*sides: bool | None) -> bool | None:
    """Whether all sides are met. False where any is missed; else None where any could not be measured."""
    return False if False in sides else None if None in sides else True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
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


def asked_of(goal: Goal, on: str, rows: int, out_of_scope: int) -> tuple[dict[str, Any], str]:
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
    out_of_scope: of all but guards, what is answered at the policy's share of text of no label, for the report;
    traffic: of guards, what is blocked and in doubt of harm and of ordinary text, where that bounds the thresholds.
    at: for the report, as of `tabled`, of each label that has a threshold of its own, or of all ("")."""

    thresholds: dict[str, Threshold]
    goals: list[dict[str, Any]]
    missed: tuple[str, ...] = ()
    bands: dict[Band, dict[str, Threshold]] = field(default_factory=dict)
    by_band: list[dict[str, Any]] = field(default_factory=list)
    out_of_scope: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None
    at: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def for_band(self, band: Band) -> dict[str, Threshold]:
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

    def reached(self, act: float | Floats) -> Reached:
        """Where those of at least this confidence are answered."""
        answered: Bools = self.confidences >= act
        return Reached(
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


ACTS: Final = tuple(hundredth / 100 for hundredth in range(101))
"""Thresholds at which the report says what they would do."""


def tabled(shares: Iterable[tuple[float, float]]) -> dict[str, list[float]]:
    """For the report, what each of ACTS does, as a goal counts it. shares: of text with a label that is answered, and
    of answers that are wrong (topics: for each label); of safety, of harmful and of harmless text that is flagged."""
    done, wrong = zip(*shares, strict=True)
    return {"done": [round(share, 5) for share in done], "wrong": [round(share, 5) for share in wrong]}


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
    reached = [answers.reached(act) for act in ACTS]
    shares = ((one.answered / one.in_scope, one.error.get("error", 0.0)) for one in reached)
    scope = {"share": policy.out_of_scope, "measured_on": on, **traffic}
    return replace(chosen, out_of_scope=scope, at={"": tabled(shares)})


def _one_chosen(
    policy: Policy, classes: Sequence[str], answers: _Answers, rows: Sequence[Band], *, apart: float, on: str
) -> ChosenThresholds:
    """The thresholds by the policy's goal, or by default. apart: the threshold of `other`; on: as of `for_one`."""
    if policy.goal is None:
        reach = answers.within(calibrate.DEFAULT_ERROR)
        real = on in (REAL_ROWS, MOSTLY_REAL)
        limits = calibrate.ONE_LABEL_ACTS if real else calibrate.ONE_LABEL_ACTS_BY_WRITTEN_TEXT
        act = float(np.clip(reach.act if reach else 1.0, *limits))
        most = NEVER.act if real else limits[1]
        return _by_band((act, apart), [], classes, rows, answers, max_error=calibrate.DEFAULT_ERROR, least=0, most=most)
    error, least = policy.goal.max_error, fewest(policy.goal.min_answered, answers.in_scope)
    reach = answers.within(error)
    met = reach is not None and answers.reached(reach.act).answered >= least
    nearest = reach if met else answers.nearest(least)
    act = nearest.act if nearest else NEVER.act
    asked, missed = asked_of(policy.goal, on, answers.in_scope + answers.outside, answers.outside)
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
    most: float = NEVER.act,
) -> ChosenThresholds:
    """A common threshold, with stricter ones for bands that need them, unless fewer than `least` of the counted rows
    would be answered then: the policy's goal comes first. acts: of the labels, and of `other`; most: the highest of
    a band."""
    act, apart = acts
    if not rows:
        return ChosenThresholds(thresholds=_same(classes, act, apart), goals=goals)
    confidences, correct, weights = answers.confidences, answers.correct, answers.weights
    wanted = by_band.stricter(rows, confidences, correct, weights, act=act, max_error=max_error)
    own = {band: min(limit, most) for band, limit in wanted.items() if act < most}
    reached = answers.reached(np.array([own.get(band, act) for band in rows], np.float32))
    if reached.answered < least:
        own = {}
    return ChosenThresholds(
        thresholds=_same(classes, act, apart),
        goals=[record | (reached.record() if own else {}) for record in goals],
        bands={band: _same(classes, strict, apart) for band, strict in own.items()},
        by_band=by_band.band_summary(rows, confidences, correct, weights, act=act, own=own),
    )


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


def shares_at(report: Mapping[str, Any], label: str, threshold: float) -> dict[str, Any] | None:
    """What a threshold of a version does with held-out text, `done` and `wrong` as of `tabled`; None where its report
    does not say, as older ones. at: of which threshold, the nearest hundredth. label: of which, empty where of all."""
    table = report.get("at") or {}
    if not (found := table.get(label) or table.get("")):
        return None
    # not that of 1, which nothing reaches
    place = 100 if threshold >= 1 else min(round(100 * threshold), 99)
    shares = {name: found[name][place] for name in ("done", "wrong")}
    return {**shares, "at": place / 100, "label": label if label in table else ""}


def goal_lines(policy: Policy, shares: Mapping[str, Any], key: str = "") -> str:
    """The lines of a policy that bring a threshold with these shares, about. key: the label, as YAML has it."""
    # rounded up, and nothing is wrong of no held-out text
    wrong = f"{max(1, math.ceil(1000 * shares['wrong'])) / 10:g}%"
    if policy.kind == "safety":
        now = policy.labels[shares["label"]].goal if shares["label"] else policy.goal
        catch = f"catch: {100 * now.catch:g}%, " if now and "catch" in now.model_fields_set else ""
        goal = f"goal: {{{catch}false_alarms: {wrong}}}"
        return f"labels:\n  {key}:\n    {goal}" if shares["label"] else goal
    stated = policy.goal.min_answered if policy.goal else 0.0
    return f"goal: {{max_error: {wrong}{f', min_answered: {100 * stated:g}%' if stated else ''}}}"
