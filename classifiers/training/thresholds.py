"""Held-out scores → the model's thresholds, and whether the policy's goals were reached. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, Reach, fewest, wilson
from classifiers.model.model import NEVER, Band, Floats, Threshold
from classifiers.policy import OTHER, Goal, LabelGoal, Policy
from classifiers.training import calibrate
from classifiers.training import operating_points as by_band
from classifiers.training.operating_points import Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRows:
    """The held-out rows that a goal is judged on. unlabelled: how many are everyday text, `other` or of no topic."""

    rows: int
    unlabelled: int

    def record(self) -> dict[str, int]:
        """For the report."""
        return {"rows": self.rows, "rows_of_no_label": self.unlabelled}

    def __str__(self) -> str:
        more = f", {self.unlabelled} of them everyday sentences and other text of no label" if self.unlabelled else ""
        return f"{_counted(self.rows, 'row')}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswers:
    """The answers given to those rows. unlabelled: how many are for text of no label, so wrong; noun: for people."""

    answers: int
    unlabelled: int
    noun: str = "answer"

    def record(self) -> dict[str, Any]:
        """For the report."""
        return {"answers": self.answers, "answers_to_no_label": self.unlabelled}

    def __str__(self) -> str:
        more = f", {self.unlabelled} of them to text of no label" if self.unlabelled else ""
        return f"{_counted(self.answers, self.noun)}{more}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SafetyReach:
    """The threshold for a safety goal. record: its figures, for the report; missed: a line if it is not reached."""

    threshold: Threshold
    record: dict[str, Any]
    missed: str = ""


def safety_reach(
    goal: LabelGoal | None,
    scores: Floats,
    held: Bools,
    harmless: Bools,
    *,
    most_doubt: float,
    on: str,
    where: str,
    label: str | None = None,
) -> SafetyReach:
    """The threshold that aims at a safety goal, and what it reaches on held-out text.

    scores: (n,) of a label, or the highest of all labels that share a goal; held: (n,) whether it, or any, holds;
    most_doubt: the share of harmless text that may be in doubt or flagged; where: the goal's place in the policy. A
    side without rows is neither met nor missed; where the policy states it, that is reported as not shown.
    """
    stated, wanted = (goal.model_fields_set if goal else set()), goal or LabelGoal()
    aims = {"catch": wanted.catch, "false_alarms": wanted.false_alarms}
    threshold = calibrate.safety_threshold(
        scores, holds=held, harmless=harmless, most_doubt=most_doubt, stated=stated, **aims
    )
    flagged = scores >= threshold.act
    caught = float(flagged[held].mean()) if held.any() else None
    alarms = float(flagged[harmless].mean()) if harmless.any() else None
    grey = (scores >= threshold.unsure) & ~flagged
    sides = {
        "catch": None if caught is None else caught >= wanted.catch - ROUNDING,
        "false_alarms": None if alarms is None else alarms <= wanted.false_alarms + ROUNDING,
    }
    record = {
        "label": label,
        **aims,
        "stated": goal is not None,
        "measured_on": on,
        "caught": caught if caught is None else round(caught, 5),
        "caught_interval": wilson(int(flagged[held].sum()), int(held.sum())),
        "alarms": alarms if alarms is None else round(alarms, 5),
        "alarms_interval": wilson(int(flagged[harmless].sum()), int(harmless.sum())),
        "doubted": round(float(grey[held].mean()), 5) if held.any() else 0.0,
        "met": safety_goal_met(*sides.values()),
        "demanded": [side for side in sides if side in stated],
        "demanded_met": safety_goal_met(*(sides[side] for side in sides if side in stated)),
    }
    missed = ""
    if unshown := [side for side in sides if side in stated and sides[side] is None]:
        missed = f"{where}: {' and '.join(unshown)}: no rows to measure it on; give examples or data"
    elif any(sides[side] is False for side in stated):
        best = " at ".join("–" if share is None else f"{share:.1%}" for share in (caught, alarms))
        aim = f"catch {wanted.catch:.1%} at {wanted.false_alarms:.1%} false alarms"
        missed = f"{where}: {aim} is not reached on {on}; the nearest reachable is {best}"
    return SafetyReach(threshold=threshold, record=record, missed=missed)


def safety_goal_met(*sides: bool | None) -> bool | None:
    """Whether all sides are met. False where any is missed; else None where any could not be measured."""
    return False if False in sides else None if None in sides else True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopicReach:
    """record: what was reached, for the report; missed: a line where the goal was not reached or is not shown to be."""

    record: dict[str, Any]
    missed: str = ""


def thresholds(policy: Policy, probabilities: Floats, holds: Bools, *, most_doubt: float) -> dict[str, Threshold]:
    """The thresholds of topics by label.

    probabilities, holds: (n, labels); most_doubt: the share of text without a label in doubt, over all labels.
    """
    return {
        name: calibrate.topic_threshold(
            probabilities[:, index],
            holds=holds[:, index],
            max_error=policy.goal.max_error if policy.goal else None,
            most_doubt=most_doubt / len(policy.labels),
        )
        for index, name in enumerate(policy.labels)
    }


def topic_reach(
    goal: Goal,
    limits: dict[str, Threshold],
    probabilities: Floats,
    holds: Bools,
    *,
    on: str,
    foreign: Bools | None = None,
) -> TopicReach:
    """Whether topics reach a goal.

    Answered is a share of the rows that have a label: those given one, rightly or not, with none in doubt. Text of no
    label does not count, since it would make any model look decided. Errors are a share of all labels given.

    limits: by label; probabilities, holds: (n, labels); on: what it was measured on, for people; foreign: (n,) rows on
    which the classifier abstains in any case.
    """
    act, unsure = (np.array([getattr(limit, side) for limit in limits.values()]) for side in ("act", "unsure"))
    named = probabilities >= act
    grey = (probabilities >= unsure) & ~named
    of_a_label: Bools = np.asarray(holds.any(axis=1))
    in_scope = max(int(of_a_label.sum()), 1)
    sure = named.any(axis=1) & ~grey.any(axis=1) & of_a_label
    answered = int((sure if foreign is None else sure & ~foreign).sum())
    total, wrong = int(named.sum()), int((named & ~holds).sum())
    # without any answer there is no error either, which shows nothing
    error = wrong / total if total else None
    judged = JudgedRows(rows=len(holds), unlabelled=int((~of_a_label).sum()))
    given = GivenAnswers(answers=total, unlabelled=int(named[~of_a_label].sum()), noun="label")
    met = safety_goal_met(
        None if error is None else error <= goal.max_error + ROUNDING,
        answered >= fewest(goal.min_answered, in_scope),
    )
    record: dict[str, Any] = {
        "max_error": goal.max_error,
        "min_answered": goal.min_answered,
        "measured_on": on,
        **judged.record(),
        "met": met,
        "answered": round(answered / in_scope, 5),
        **given.record(),
        "never_named": [name for name, limit in limits.items() if limit.act >= NEVER.act],
    }
    if error is not None:
        record |= {"error": round(error, 5), "error_interval": wilson(wrong, total)}
    missed = ""
    if met is None:
        missed = f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
    elif not met:
        best = f"{error:.1%} with" if error is not None else "to name nothing, with"
        best += f" {answered / in_scope:.1%} answered ({given})"
        missed = f"goal: {_wanted(goal)} is not reached on {on} ({judged}); the nearest reachable is {best}"
    return TopicReach(record=record, missed=missed)


def _wanted(goal: Goal) -> str:
    return f"at most {goal.max_error:.1%} error with at least {goal.min_answered:.1%} answered"


_MOST_DOUBT = 0.1
"""The share of harmless text that may be in doubt, over all labels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenThresholds:
    """thresholds: by class; goals: what was asked for and reached, for the report; missed: a line for each stated goal
    that was not reached; bands: the thresholds of bands that have their own; by_band: their figures, for the report."""

    thresholds: dict[str, Threshold]
    goals: list[dict[str, Any]]
    missed: tuple[str, ...] = ()
    bands: dict[Band, dict[str, Threshold]] = field(default_factory=dict)
    by_band: list[dict[str, Any]] = field(default_factory=list)

    def for_band(self, band: Band) -> dict[str, Threshold]:
        """The thresholds of a band's texts."""
        return self.bands.get(band, self.thresholds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """Held-out rows that are given a label. confidences, correct, counted: (n,), the last whether a row has some label;
    in_scope: how many rows have one, answered or not."""

    confidences: Floats
    correct: Bools
    counted: Bools
    in_scope: int

    def record(self, answered: Bools) -> dict[str, Any]:
        """The figures of a goal's record where just these are answered. answered: (n,)."""
        total, wrong = int(answered.sum()), int((answered & ~self.correct).sum())
        return {
            "error": round(wrong / max(total, 1), 5),
            "error_interval": wilson(wrong, total),
            "answered": round(int((answered & self.counted).sum()) / self.in_scope, 5),
            **self._given(answered).record(),
        }

    def describe(self, point: Reach) -> str:
        """What a threshold reaches, for people."""
        reached: Bools = self.confidences >= point.act
        answered = int((reached & self.counted).sum()) / self.in_scope
        return f"{point.error:.1%} with {answered:.1%} answered ({self._given(reached)})"

    def _given(self, answered: Bools) -> GivenAnswers:
        return GivenAnswers(answers=int(answered.sum()), unlabelled=int((answered & ~self.counted).sum()))


def for_one(
    policy: Policy,
    classes: Sequence[str],
    probabilities: Floats,
    truth: NDArray[np.int32],
    *,
    on: str,
    novel: Bools | None = None,
    bands: Sequence[Band] = (),
) -> ChosenThresholds:
    """Single-label: one threshold for all labels, and a higher one for bands in which it lets too many errors through.

    `other` is named whenever it is likeliest, since nothing acts on it. Answered is a share of the rows that have a
    label; a label given to `other` text is an error and no answer. probabilities: (n, classes) of held-out text; truth:
    (n,); on: what it was measured on, for people; novel: (n,) rows that are not answered; bands: of each row, or none.
    """
    guess = probabilities.argmax(axis=1)
    other = classes.index(OTHER) if OTHER in classes else -1
    named = guess != other if novel is None else (guess != other) & ~novel
    confidences, correct = probabilities.max(axis=1)[named], (guess == truth)[named]
    counted, in_scope = (truth != other)[named], max(int((truth != other).sum()), 1)
    answers = _Answers(confidences=confidences, correct=correct, counted=counted, in_scope=in_scope)
    goal = policy.goal
    max_error, least = (goal.max_error, fewest(goal.min_answered, in_scope)) if goal else (calibrate.DEFAULT_ERROR, 0)
    rows = [band for band, counts in zip(bands, named.tolist(), strict=True) if counts] if bands else []
    if goal is None:
        chosen = ChosenThresholds(thresholds=_same(classes, calibrate.default_act(confidences, correct)), goals=[])
        return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)
    reach = calibrate.act_for_error(confidences, correct, max_error)
    met = reach is not None and int((confidences[counted] >= reach.act).sum()) >= least
    nearest = reach if met else calibrate.nearest_reach(confidences, correct, counted, least)
    judged = JudgedRows(rows=len(truth), unlabelled=int((truth == other).sum()))
    record: dict[str, Any] = {
        "max_error": max_error,
        "min_answered": goal.min_answered,
        "measured_on": on,
        **judged.record(),
        "met": met,
        **(answers.record(confidences >= nearest.act) if nearest else {}),
    }
    chosen = ChosenThresholds(thresholds=_same(classes, nearest.act if nearest else NEVER.act), goals=[record])
    if met:
        return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)
    missed = f"goal: {_wanted(goal)} is not reached on {on} ({judged}); {_best(answers, nearest, reach)}"
    return replace(chosen, missed=(missed,))


def _best(answers: _Answers, nearest: Reach | None, reach: Reach | None) -> str:
    """What can be reached of a missed goal. reach: the point within the error wanted."""
    if nearest is None:
        return "nothing can be answered"
    best = f"the nearest reachable is {answers.describe(nearest)}"
    if reach and reach.error < nearest.error and (answers.confidences[answers.counted] >= reach.act).any():
        best += f"; within the error wanted, {answers.describe(reach)}"
    return best


def _by_band(
    chosen: ChosenThresholds,
    classes: Sequence[str],
    rows: Sequence[Band],
    answers: _Answers,
    *,
    max_error: float,
    least: int,
) -> ChosenThresholds:
    """The choice with stricter thresholds for the bands that need them, unless fewer than `least` of the counted rows
    would be answered then: the policy's goal comes first."""
    if not rows:
        return chosen
    act = max(limit.act for limit in chosen.thresholds.values())
    confidences, correct = answers.confidences, answers.correct
    own = by_band.stricter(rows, confidences, correct, act=act, max_error=max_error)
    kept: Bools = confidences >= np.array([own.get(band, act) for band in rows], np.float32)
    if own and int((kept & answers.counted).sum()) < least:
        own = {}
    shown = by_band.band_summary(rows, confidences, correct, act=act, own=own)
    reached = answers.record(kept) if own else {}
    return replace(
        chosen,
        goals=[record | reached for record in chosen.goals],
        bands={band: _same(classes, strict) for band, strict in own.items()},
        by_band=shown,
    )


def for_any(
    policy: Policy,
    probabilities: Floats,
    holds: NDArray[np.bool_],
    on: str,
    *,
    larger: bool = False,
    foreign: Bools | None = None,
) -> ChosenThresholds:
    """Multi-label: thresholds for each label.

    For safety, act at the goal for false alarms, unsure at the goal for caught text; for topics, act where few labels
    given are wrong, unsure where few labels are missed. probabilities, holds: (n, labels) of held-out text; larger:
    whether a larger encoder decides, which may have its own goal; foreign: (n,) rows that are not answered, since the
    policy does not list their language.
    """
    if policy.kind == "safety":
        return _for_harms(policy, probabilities, holds, on, larger=larger)
    return _for_topics(policy, probabilities, holds, on, foreign)


def _for_topics(
    policy: Policy, probabilities: Floats, holds: Bools, on: str, foreign: Bools | None
) -> ChosenThresholds:
    limits = thresholds(policy, probabilities, holds, most_doubt=_MOST_DOUBT)
    if policy.goal is None:
        return ChosenThresholds(thresholds=limits, goals=[])
    reach = topic_reach(policy.goal, limits, probabilities, holds, on=on, foreign=foreign)
    return ChosenThresholds(thresholds=limits, goals=[reach.record], missed=(reach.missed,) if reach.missed else ())


def _for_harms(policy: Policy, probabilities: Floats, holds: Bools, on: str, *, larger: bool) -> ChosenThresholds:
    """A threshold for each label by its own goal; one for all labels where the policy states one goal for all."""
    harmful: Bools = np.asarray(holds.any(axis=1))
    where, goal = policy.goal_where(larger=larger)
    if goal:
        doubt = goal.false_alarms + _MOST_DOUBT
        for_all = safety_reach(goal, probabilities.max(axis=1), harmful, ~harmful, most_doubt=doubt, on=on, where=where)
        reached = dict.fromkeys(policy.labels, for_all)
    else:
        reached = {
            name: safety_reach(
                label.goal,
                probabilities[:, index],
                holds[:, index],
                ~harmful,
                most_doubt=_MOST_DOUBT / len(policy.labels),
                on=on,
                where=f"labels.{name}.goal",
                label=name,
            )
            for index, (name, label) in enumerate(policy.labels.items())
        }
    every = dict.fromkeys(reached.values())
    return ChosenThresholds(
        thresholds={name: reach.threshold for name, reach in reached.items()},
        goals=[reach.record for reach in every],
        missed=tuple(reach.missed for reach in every if reach.missed),
    )


def _same(classes: Sequence[str], act: float) -> dict[str, Threshold]:
    free = Threshold(act=0.0, unsure=0.0)
    return {name: free if name == OTHER else Threshold(act=act, unsure=act) for name in classes}


def describe(thresholds: Mapping[str, Threshold]) -> dict[str, dict[str, float]]:
    """Thresholds for the report; 1 where none is ever reached."""
    return {
        name: {"act": round(min(t.act, 1.0), 5), "unsure": round(min(t.unsure, 1.0), 5)}
        for name, t in thresholds.items()
    }
