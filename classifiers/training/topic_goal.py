"""Topics of which several may hold: the threshold of each, and whether the policy's goal was reached. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from classifiers.model import NEVER, Floats, Threshold
from classifiers.policy import Goal, Policy
from classifiers.training import calibrate, safety_goal
from classifiers.training.goal_rows import Given, Judged
from classifiers.training.grey import Bools
from classifiers.training.statistics import ROUNDING, fewest, wilson


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reached:
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


def reached(
    goal: Goal,
    limits: dict[str, Threshold],
    probabilities: Floats,
    holds: Bools,
    *,
    on: str,
    foreign: Bools | None = None,
) -> Reached:
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
    judged = Judged(rows=len(holds), beside=int((~of_a_label).sum()))
    given = Given(answers=total, beside=int(named[~of_a_label].sum()), called="label")
    met = safety_goal.met(
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
        return Reached(record=record)
    if met is None:
        told = f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
        return Reached(record=record, missed=told)
    wanted = f"at most {goal.max_error:.1%} error with at least {goal.min_answered:.1%} answered"
    best = f"{error:.1%} with" if error is not None else "to name nothing, with"
    best += f" {answered / in_scope:.1%} answered ({given})"
    told = f"goal: {wanted} is not reached on {on} ({judged}); the nearest reachable is {best}"
    return Reached(record=record, missed=told)
