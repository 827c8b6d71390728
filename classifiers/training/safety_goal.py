"""What a safety goal leads to: the threshold that aims at it, and whether held-out text reached it. Pure."""

from dataclasses import dataclass
from typing import Any

from classifiers.model import Floats, Threshold
from classifiers.policy import LabelGoal
from classifiers.training import calibrate
from classifiers.training.grey import Bools
from classifiers.training.statistics import ROUNDING, wilson


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reached:
    """threshold: that a goal leads to; record: what was reached, for the report; missed: a line, where it was not."""

    threshold: Threshold
    record: dict[str, Any]
    missed: str = ""


def reached(
    goal: LabelGoal | None,
    scores: Floats,
    held: Bools,
    harmless: Bools,
    *,
    most_doubt: float,
    on: str,
    where: str,
    label: str | None = None,
) -> Reached:
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
        "met": met(*sides.values()),
        "demanded": [side for side in sides if side in stated],
        "demanded_met": met(*(sides[side] for side in sides if side in stated)),
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
    return Reached(threshold=threshold, record=record, missed=missed)


def met(*sides: bool | None) -> bool | None:
    """None where a side could not be measured; one that is missed misses the goal, whatever the others would show."""
    return False if False in sides else None if None in sides else True
