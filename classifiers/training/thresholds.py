"""Held-out scores → the model's thresholds, and whether the policy's goals were reached. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, Reach, fewest, ratio, share, wilson
from classifiers.model.model import NEVER, Band, Floats, Threshold
from classifiers.policy import OTHER, Goal, Policy
from classifiers.training import calibrate
from classifiers.training import operating_points as by_band
from classifiers.training.operating_points import Bools

_MOST_DOUBT = 0.1
"""The share of harmless text that may be in doubt, over all labels together."""


def _safety_reach(
    goal: Goal | None,
    scores: Floats,
    held: Bools,
    harmless: Bools,
    *,
    most_doubt: float,
    on: str,
    where: str,
    label: str | None = None,
) -> tuple[Threshold, dict[str, Any], str]:
    """The threshold that aims at a safety goal, its figures for the report, and a line if the goal is not reached.

    scores: (n,) of a label, or the highest of all labels that share a goal; held: (n,) whether it, or any, holds;
    most_doubt: the share of harmless text that may be in doubt or flagged; where: the goal's place in the policy. A
    side without rows is neither met nor missed; where the policy states it, that is reported as not shown.
    """
    stated, wanted = (goal.model_fields_set if goal else set()), goal or Goal()
    aims = {"catch": wanted.catch, "false_alarms": wanted.false_alarms}
    threshold = calibrate.safety_threshold(
        scores, holds=held, harmless=harmless, most_doubt=most_doubt, stated=stated, **aims
    )
    flagged = scores >= threshold.act
    grey = (scores >= threshold.unsure) & ~flagged
    caught, alarms = (float(flagged[rows].mean()) if rows.any() else None for rows in (held, harmless))
    sides = {
        "catch": None if caught is None else caught >= wanted.catch - ROUNDING,
        "false_alarms": None if alarms is None else alarms <= wanted.false_alarms + ROUNDING,
    }
    demanded = [side for side in sides if side in stated]
    record = {
        "label": label,
        **aims,
        "stated": goal is not None,
        "measured_on": on,
        **share("caught", int(flagged[held].sum()), int(held.sum())),
        **share("alarms", int(flagged[harmless].sum()), int(harmless.sum())),
        "doubted": ratio(int(grey[held].sum()), int(held.sum())) or 0.0,
        "met": _all_met(*sides.values()),
        "demanded": demanded,
        "demanded_met": _all_met(*(sides[side] for side in demanded)),
    }
    missed = ""
    if unshown := [side for side in demanded if sides[side] is None]:
        missed = f"{where}: {' and '.join(unshown)}: no rows to measure it on; give examples or data"
    elif any(sides[side] is False for side in demanded):
        best = " at ".join("–" if reached is None else f"{reached:.1%}" for reached in (caught, alarms))
        aim = f"catch {wanted.catch:.1%} at {wanted.false_alarms:.1%} false alarms"
        missed = f"{where}: {aim} is not reached on {on}; the nearest reachable is {best}"
    return threshold, record, missed


def _all_met(*sides: bool | None) -> bool | None:
    """Whether all sides are met. False where any is missed; else None where any could not be measured."""
    return False if False in sides else None if None in sides else True


def _topic_reach(
    goal: Goal, limits: dict[str, Threshold], probabilities: Floats, holds: Bools, *, on: str, foreign: Bools | None
) -> tuple[dict[str, Any], str]:
    """Whether topics reach a goal: the figures for the report, and a line where that is not so or not shown.

    Answered is a share of the rows that have a label: those given one, rightly or not, with none in doubt. Text of no
    label does not count, since it would make any model look decided. Errors are a share of all labels given.

    limits: by label; probabilities, holds: (n, labels); on: what it was measured on, for people; foreign: (n,) rows on
    which the classifier abstains in any case.
    """
    act, unsure = (np.array([getattr(limit, side) for limit in limits.values()]) for side in ("act", "unsure"))
    named = probabilities >= act
    grey = (probabilities >= unsure) & ~named
    of_a_label: Bools = np.asarray(holds.any(axis=1))
    in_scope, out_of_scope = max(int(of_a_label.sum()), 1), int((~of_a_label).sum())
    sure = named.any(axis=1) & ~grey.any(axis=1) & of_a_label
    answered = int((sure if foreign is None else sure & ~foreign).sum())
    total, wrong, to_none = int(named.sum()), int((named & ~holds).sum()), int(named[~of_a_label].sum())
    # without any answer there is no error either, which shows nothing
    error = wrong / total if total else None
    met = _all_met(
        None if error is None else error <= goal.max_error + ROUNDING,
        answered >= fewest(goal.min_answered, in_scope),
    )
    record: dict[str, Any] = {
        **_asked(goal, on, len(holds), out_of_scope),
        "met": met,
        "answered": round(answered / in_scope, 5),
        "answers": total,
        "answers_to_no_label": to_none,
        "never_named": [name for name, limit in limits.items() if limit.act >= NEVER.act],
        **(share("error", wrong, total) if total else {}),
    }
    if met is None:
        return record, f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
    best = f"{error:.1%} with" if error is not None else "to name nothing, with"
    best = f"the nearest reachable is {best} {answered / in_scope:.1%} answered ({_given(total, to_none, 'label')})"
    return record, "" if met else f"{_not_reached(goal, on, len(holds), out_of_scope)}; {best}"


def _asked(goal: Goal, on: str, rows: int, out_of_scope: int) -> dict[str, Any]:
    """A goal and the rows it is judged on, for the report. out_of_scope: rows of everyday text, `other` or no topic."""
    asked = {"max_error": goal.max_error, "min_answered": goal.min_answered, "measured_on": on}
    return {**asked, "rows": rows, "rows_of_no_label": out_of_scope}


def _not_reached(goal: Goal, on: str, rows: int, out_of_scope: int) -> str:
    wanted = f"at most {goal.max_error:.1%} error with at least {goal.min_answered:.1%} answered"
    judged = _counted(rows, "row", out_of_scope, "everyday sentences and other text of no label")
    return f"goal: {wanted} is not reached on {on} ({judged})"


def _given(answers: int, to_none: int, noun: str) -> str:
    """The answers given, for people. to_none: how many are for text of no label, so wrong."""
    return _counted(answers, noun, to_none, "to text of no label")


def _counted(count: int, noun: str, part: int, what: str) -> str:
    more = f", {part} of them {what}" if part else ""
    return f"{count} {noun}{'' if count == 1 else 's'}{more}"


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
            "answers": total,
            "answers_to_no_label": int((answered & ~self.counted).sum()),
        }

    def describe(self, point: Reach) -> str:
        """What a threshold reaches, for people."""
        reached: Bools = self.confidences >= point.act
        answered, to_none = (int((reached & rows).sum()) for rows in (self.counted, ~self.counted))
        given = _given(answered + to_none, to_none, "answer")
        return f"{point.error:.1%} with {answered / self.in_scope:.1%} answered ({given})"


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
    out_of_scope = int((truth == other).sum())
    record: dict[str, Any] = {
        **_asked(goal, on, len(truth), out_of_scope),
        "met": met,
        **(answers.record(confidences >= nearest.act) if nearest else {}),
    }
    chosen = ChosenThresholds(thresholds=_same(classes, nearest.act if nearest else NEVER.act), goals=[record])
    if met:
        return _by_band(chosen, classes, rows, answers, max_error=max_error, least=least)
    missed = f"{_not_reached(goal, on, len(truth), out_of_scope)}; {_best(answers, nearest, reach)}"
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
    record, missed = _topic_reach(policy.goal, limits, probabilities, holds, on=on, foreign=foreign)
    return ChosenThresholds(thresholds=limits, goals=[record], missed=(missed,) if missed else ())


def _for_harms(policy: Policy, probabilities: Floats, holds: Bools, on: str, *, larger: bool) -> ChosenThresholds:
    """A threshold for each label by its own goal; one for all labels where the policy states one goal for all."""
    harmful: Bools = np.asarray(holds.any(axis=1))
    where, goal = policy.goal_where(larger=larger)
    if goal:
        doubt = goal.false_alarms + _MOST_DOUBT
        highest = probabilities.max(axis=1)
        reached = [_safety_reach(goal, highest, harmful, ~harmful, most_doubt=doubt, on=on, where=where)]
    else:
        doubt = _MOST_DOUBT / len(policy.labels)
        reached = [
            _safety_reach(
                *(label.goal, probabilities[:, index], holds[:, index], ~harmful),
                most_doubt=doubt,
                on=on,
                where=f"labels.{name}.goal",
                label=name,
            )
            for index, (name, label) in enumerate(policy.labels.items())
        ]
    limits = [limit for limit, _, _ in reached] * (len(policy.labels) if goal else 1)
    return ChosenThresholds(
        thresholds=dict(zip(policy.labels, limits, strict=True)),
        goals=[record for _, record, _ in reached],
        missed=tuple(missed for _, _, missed in reached if missed),
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
