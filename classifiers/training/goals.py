"""From held-out scores to the model's thresholds, and whether the policy's goals were reached. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import NEVER, Band, Floats, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.training import bands as by_band
from classifiers.training import calibrate, safety_goal, topic_goal
from classifiers.training.goal_rows import Given, Judged
from classifiers.training.grey import Bools
from classifiers.training.statistics import fewest, wilson

_MOST_DOUBT = 0.1
"""Of harmless text that may be in doubt, over all labels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
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

    def at(self, point: calibrate.Reach) -> str:
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
) -> Chosen:
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
        chosen = Chosen(thresholds=_same(classes, calibrate.default_act(confidences, correct)), goals=[])
        return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)
    reach = calibrate.act_for_error(confidences, correct, max_error)
    met = reach is not None and int((confidences[counted] >= reach.act).sum()) >= least
    nearest = reach if met else calibrate.nearest_reach(confidences, correct, counted, least)
    judged = Judged(rows=len(truth), beside=int((truth == other).sum()))
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
    chosen = Chosen(thresholds=_same(classes, act), goals=[record], missed=missed)
    if not met:
        return chosen
    return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)


def _by_band(
    chosen: Chosen,
    classes: Sequence[str],
    rows: Sequence[Band],
    answers: _Answers,
    *,
    max_error: float,
    least: int,
) -> Chosen:
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
) -> Chosen:
    """Multi-label: thresholds for each label. Of safety, act at the goal for false alarms, unsure at the goal for what
    is caught; of topics, act where few names are wrong, unsure where few labels are missed.

    probabilities, holds: (n, labels) of held-out text; larger: whether a larger encoder told, for which a policy may
    state another goal; foreign: (n,) which rows are not answered, whatever topics they are given, since the policy does
    not name their language.
    """
    if policy.kind == "safety":
        return _for_harms(policy, probabilities, holds, on, larger=larger)
    return _for_topics(policy, probabilities, holds, on, foreign)


def _for_topics(policy: Policy, probabilities: Floats, holds: Bools, on: str, foreign: Bools | None) -> Chosen:
    limits = topic_goal.thresholds(policy, probabilities, holds, most_doubt=_MOST_DOUBT)
    if policy.goal is None:
        return Chosen(thresholds=limits, goals=[])
    found = topic_goal.reached(policy.goal, limits, probabilities, holds, on=on, foreign=foreign)
    return Chosen(thresholds=limits, goals=[found.record], missed=(found.missed,) if found.missed else ())


def _for_harms(policy: Policy, probabilities: Floats, holds: Bools, on: str, *, larger: bool) -> Chosen:
    """A threshold for each label by its own goal; where the policy states one for all, they share one: a calibrated
    probability is worth the same whatever the label."""
    harmful: Bools = np.asarray(holds.any(axis=1))
    where, goal = policy.goal_where(larger=larger)
    if goal:
        doubt = goal.false_alarms + _MOST_DOUBT
        for_all = safety_goal.reached(
            goal, probabilities.max(axis=1), harmful, ~harmful, most_doubt=doubt, on=on, where=where
        )
        found = dict.fromkeys(policy.labels, for_all)
    else:
        found = {
            name: safety_goal.reached(
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
    return Chosen(
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
