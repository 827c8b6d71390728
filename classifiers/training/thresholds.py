"""From held-out scores to the model's thresholds, and whether the policy's goals were reached. Pure.

Which text a goal was judged on, so that its figures are not held against those of other rows. Pure.

What a safety goal leads to: the threshold that aims at it, and whether held-out text reached it. Pure.

Topics of which several may hold: the threshold of each, and whether the policy's goal was reached. Pure.
"""

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
    """rows: held-out rows, of which `beside` have none of the labels: everyday sentences, where the built-in writer
    gave them, and whatever else is `other` or of no topic."""

    rows: int
    beside: int

    def record(self) -> dict[str, int]:
        """For the report."""
        return {"rows": self.rows, "rows_of_no_label": self.beside}

    def __str__(self) -> str:
        more = f", {self.beside} of them everyday sentences and other text of no label" if self.beside else ""
        return f"{_counted(self.rows, 'row')}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """answers: to those rows, of which `beside` are to text of none of the labels, and so wrong; called: one of them,
    for people."""

    answers: int
    beside: int
    called: str = "answer"

    def record(self) -> dict[str, Any]:
        """For the report."""
        return {"answers": self.answers, "answers_to_no_label": self.beside}

    def __str__(self) -> str:
        more = f", {self.beside} of them to text of no label" if self.beside else ""
        return f"{_counted(self.answers, self.called)}{more}"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SafetyReach:
    """threshold: that a goal leads to; record: what was reached, for the report; missed: a line, where it was not."""

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
    """scores: (n,) of a label, or the highest of all that share a goal; held: (n,) whether it holds, or any does;
    most_doubt: of harmless text that may be in doubt or flagged; where: the goal's place in the policy. A side without
    rows is neither met nor missed; where the policy states it, it is not shown to be reached either."""
    stated = goal.model_fields_set if goal else set()
    wanted = goal or LabelGoal()
    threshold = calibrate.safety_threshold(
        scores,
        holds=held,
        harmless=harmless,
        catch=wanted.catch,
        false_alarms=wanted.false_alarms,
        most_doubt=most_doubt,
        stated=stated,
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
        "catch": wanted.catch,
        "false_alarms": wanted.false_alarms,
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
        best = " at ".join("–" if one is None else f"{one:.1%}" for one in (caught, alarms))
        missed = (
            f"{where}: catch {wanted.catch:.1%} at {wanted.false_alarms:.1%} false alarms is not reached on {on}; "
            f"the nearest reachable is {best}"
        )
    return SafetyReach(threshold=threshold, record=record, missed=missed)


def safety_goal_met(*sides: bool | None) -> bool | None:
    """None where a side could not be measured; one that is missed misses the goal, whatever the others would show."""
    return False if False in sides else None if None in sides else True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopicReach:
    """record: what was reached, for the report; missed: a line, where the goal was not, or is not shown to be."""

    record: dict[str, Any]
    missed: str = ""


def thresholds(policy: Policy, probabilities: Floats, holds: Bools, *, most_doubt: float) -> dict[str, Threshold]:
    """By label. probabilities, holds: (n, labels); most_doubt: of text without a label, over all labels together."""
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
    """What is answered is a share of the rows that have a label: those that are given one, rightly or not, with none
    in doubt. Text of no label, mostly everyday sentences that nobody takes for one, would make any model look
    decided. What is wrong is a share of the labels given, to whichever text.

    limits: by label; probabilities, holds: (n, labels); on: what it was measured on, for people; foreign: (n,) rows on
    which the classifier abstains whatever they are given.
    """
    act, unsure = (np.array([getattr(one, side) for one in limits.values()]) for side in ("act", "unsure"))
    named = probabilities >= act
    grey = (probabilities >= unsure) & ~named
    of_a_label: Bools = np.asarray(holds.any(axis=1))
    in_scope = max(int(of_a_label.sum()), 1)
    sure = named.any(axis=1) & ~grey.any(axis=1) & of_a_label
    answered = int((sure if foreign is None else sure & ~foreign).sum())
    total, wrong = int(named.sum()), int((named & ~holds).sum())
    # where nothing is named, nothing is wrong either, which shows nothing
    error = wrong / total if total else None
    judged = JudgedRows(rows=len(holds), beside=int((~of_a_label).sum()))
    given = Given(answers=total, beside=int(named[~of_a_label].sum()), called="label")
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
    if met:
        return TopicReach(record=record)
    if met is None:
        told = f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
        return TopicReach(record=record, missed=told)
    wanted = f"at most {goal.max_error:.1%} error with at least {goal.min_answered:.1%} answered"
    best = f"{error:.1%} with" if error is not None else "to name nothing, with"
    best += f" {answered / in_scope:.1%} answered ({given})"
    told = f"goal: {wanted} is not reached on {on} ({judged}); the nearest reachable is {best}"
    return TopicReach(record=record, missed=told)


_MOST_DOUBT = 0.1
"""Of harmless text that may be in doubt, over all labels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenThresholds:
    """thresholds by class; goals: what was asked for and reached, for the report; missed: a line for each goal that
    the policy states and that was not reached; bands: the thresholds of texts that have others; by_band: how those
    were found, for the report."""

    thresholds: dict[str, Threshold]
    goals: list[dict[str, Any]]
    missed: tuple[str, ...] = ()
    bands: dict[Band, dict[str, Threshold]] = field(default_factory=dict)
    by_band: list[dict[str, Any]] = field(default_factory=list)

    def of(self, band: Band) -> dict[str, Threshold]:
        """The thresholds of a band's texts."""
        return self.bands.get(band, self.thresholds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """Held-out rows that are named. confidences, correct, counted: (n,), the last whether a row is of some label;
    in_scope: how many rows are, named or not."""

    confidences: Floats
    correct: Bools
    counted: Bools
    in_scope: int

    def told(self, answered: Bools) -> dict[str, Any]:
        """For a goal's record, where just these are answered. answered: (n,)."""
        total, wrong = int(answered.sum()), int((answered & ~self.correct).sum())
        return {
            "error": round(wrong / max(total, 1), 5),
            "error_interval": wilson(wrong, total),
            "answered": round(int((answered & self.counted).sum()) / self.in_scope, 5),
            **self._given(answered).record(),
        }

    def at(self, point: Reach) -> str:
        """What a threshold reaches, for people."""
        over: Bools = self.confidences >= point.act
        answered = int((over & self.counted).sum()) / self.in_scope
        return f"{point.error:.1%} with {answered:.1%} answered ({self._given(over)})"

    def _given(self, answered: Bools) -> Given:
        return Given(answers=int(answered.sum()), beside=int((answered & ~self.counted).sum()))


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
    """Single-label: one threshold for all labels; `other` is named whenever it is likeliest, since nothing acts on it.
    Texts of a band in which it lets more errors through than are wanted have a higher one. What the policy wants
    answered is a share of the rows that are of some label; `other` that is named counts as an error, and no answer.

    probabilities: (n, classes) of held-out text; truth: (n,); on: what it was measured on, for people; novel: (n,)
    which rows are not answered, however likely a label, since they are unlike training; bands: of each row, or none.
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
    judged = JudgedRows(rows=len(truth), beside=int((truth == other).sum()))
    record: dict[str, Any] = {
        "max_error": max_error,
        "min_answered": goal.min_answered,
        "measured_on": on,
        **judged.record(),
        "met": met,
    }
    missed: tuple[str, ...] = ()
    if nearest is not None:
        record |= answers.told(confidences >= nearest.act)
    if not met:
        best = f"the nearest reachable is {answers.at(nearest)}" if nearest else "nothing can be answered"
        if reach and nearest and reach.error < nearest.error and (confidences[counted] >= reach.act).any():
            best += f"; within the error wanted, {answers.at(reach)}"
        wanted = f"at most {max_error:.1%} error with at least {goal.min_answered:.1%} answered"
        missed = (f"goal: {wanted} is not reached on {on} ({judged}); {best}",)
    act = nearest.act if nearest else NEVER.act
    chosen = ChosenThresholds(thresholds=_same(classes, act), goals=[record], missed=missed)
    if not met:
        return chosen
    return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)


def _by_band(
    chosen: ChosenThresholds,
    classes: Sequence[str],
    rows: Sequence[Band],
    answers: _Answers,
    *,
    max_error: float,
    least: int,
) -> ChosenThresholds:
    """The same with stricter thresholds for the bands that need them, and what these make of the goal, unless fewer
    than `least` of the counted rows would be answered then: what the policy states comes first."""
    if not rows:
        return chosen
    act = max(limit.act for limit in chosen.thresholds.values())
    confidences, correct = answers.confidences, answers.correct
    own = by_band.stricter(rows, confidences, correct, act=act, max_error=max_error)
    kept: Bools = confidences >= np.array([own.get(band, act) for band in rows], np.float32)
    if own and int((kept & answers.counted).sum()) < least:
        own = {}
    shown = by_band.told(rows, confidences, correct, act=act, own=own)
    reached = answers.told(kept) if own else {}
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
    """Multi-label: thresholds for each label. Of safety, act at the goal for false alarms, unsure at the goal for what
    is caught; of topics, act where few names are wrong, unsure where few labels are missed.

    probabilities, holds: (n, labels) of held-out text; larger: whether a larger encoder told, for which a policy may
    state another goal; foreign: (n,) which rows are not answered, whatever topics they are given, since the policy does
    not name their language.
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
    found = topic_reach(policy.goal, limits, probabilities, holds, on=on, foreign=foreign)
    return ChosenThresholds(thresholds=limits, goals=[found.record], missed=(found.missed,) if found.missed else ())


def _for_harms(policy: Policy, probabilities: Floats, holds: Bools, on: str, *, larger: bool) -> ChosenThresholds:
    """A threshold for each label by its own goal; where the policy states one for all, they share one: a calibrated
    probability is worth the same whatever the label."""
    harmful: Bools = np.asarray(holds.any(axis=1))
    where, goal = policy.goal_where(larger=larger)
    if goal:
        doubt = goal.false_alarms + _MOST_DOUBT
        for_all = safety_reach(goal, probabilities.max(axis=1), harmful, ~harmful, most_doubt=doubt, on=on, where=where)
        found = dict.fromkeys(policy.labels, for_all)
    else:
        found = {
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
    every = dict.fromkeys(found.values())
    return ChosenThresholds(
        thresholds={name: one.threshold for name, one in found.items()},
        goals=[one.record for one in every],
        missed=tuple(one.missed for one in every if one.missed),
    )


def _same(classes: Sequence[str], act: float) -> dict[str, Threshold]:
    free = Threshold(act=0.0, unsure=0.0)
    return {name: free if name == OTHER else Threshold(act=act, unsure=act) for name in classes}


def describe(thresholds: Mapping[str, Threshold]) -> dict[str, dict[str, float]]:
    """For the report; what is never reached stands as 1."""
    return {
        name: {"act": round(min(t.act, 1.0), 5), "unsure": round(min(t.unsure, 1.0), 5)}
        for name, t in thresholds.items()
    }
