"""Held-out scores of several labels a text → thresholds, and whether the policy's goals were reached. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, fewest, most, ratio, share
from classifiers.model.model import NEVER, Bools, Floats, Threshold
from classifiers.policy import OTHER, Goal, Policy
from classifiers.training import calibrate
from classifiers.training.operating_points import IN_SCOPE, MOSTLY_REAL, REAL_ROWS, Weights, at_share, weights_at
from classifiers.training.thresholds import ACTS, ChosenThresholds, Reached, all_met, asked_of, tabled

_MOST_DOUBT = 0.1
"""The share of harmless text that may be in doubt, over all labels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinaryTraffic:
    """Held-out text of ordinary traffic. probabilities: (m, labels); kinds: (m,) what kind of text each is; times: how
    often each text was scored, alone and among others; harmful ones are as often."""

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
    kinds: Sequence[str] | None = None,
    outside: tuple[Sequence[str], Floats] | None = None,
) -> ChosenThresholds:
    """Multi-label: thresholds for each label.

    For safety, act at the goal for false alarms, unsure at the goal for caught text; for topics, act where few labels
    given are wrong, unsure where few are missed. probabilities, holds: (n, labels) of held-out text; larger: whether a
    larger encoder decides, which may have its own goal; foreign: (n,) rows that are not answered. ordinary: for which
    a safety label's thresholds are raised where needed. Of topics, kinds: (n,) as of `thresholds.for_one`; outside:
    the kinds, and (m, labels), of more text out of scope."""
    if policy.kind == "safety":
        return _for_harms(policy, probabilities, holds, on, larger=larger, ordinary=ordinary)
    traffic = _TopicTraffic.of(policy, probabilities, holds, kinds, outside)
    limits = _topic_limits(policy, probabilities, holds, traffic, real=on in (REAL_ROWS, MOSTLY_REAL))
    scope = {"share": policy.out_of_scope, "measured_on": on, **traffic.at(limits.values())}
    chosen = ChosenThresholds(thresholds=limits, goals=[], out_of_scope=scope, at=traffic.tables(policy.labels))
    if policy.goal is None:
        return chosen
    act, unsure = (np.array([getattr(limit, side) for limit in limits.values()]) for side in ("act", "unsure"))
    named, of_a_label = probabilities >= act, np.asarray(holds.any(axis=1))
    sure = named.any(axis=1) & ~((probabilities >= unsure) & ~named).any(axis=1) & of_a_label
    wrong, count = int((named & ~holds).sum()), int(named.sum())
    reached = Reached(
        answers=count,
        error=share("error", wrong, count),
        to_no_label=int(named[~of_a_label].sum()),
        # text of no label does not count, since it would make any model look decided
        answered=int((sure if foreign is None else sure & ~foreign).sum()),
        in_scope=max(int(of_a_label.sum()), 1),
    )
    asked, missed = asked_of(policy.goal, on, len(holds), int((~of_a_label).sum()))
    kept = wrong / count <= policy.goal.max_error + ROUNDING if count else None
    met = all_met(kept, reached.answered >= fewest(policy.goal.min_answered, reached.in_scope))
    record = {**asked, "met": met, **reached.record()}
    record["never_named"] = [name for name, limit in limits.items() if limit.act >= NEVER.act]
    missed = f"{missed}; the nearest reachable is {reached.describe('label')}"
    if met is None:
        missed = f"goal: max_error: nothing is named on {on}, so it is not shown; give more examples or data"
    return replace(chosen, goals=[record], missed=() if met else (missed,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _TopicTraffic:
    """Held-out text and text out of scope, as it is met. probabilities, holds: (n, labels); kinds, weights: (n,)."""

    probabilities: Floats
    holds: Bools
    kinds: NDArray[np.str_]
    weights: Weights

    @classmethod
    def of(
        cls,
        policy: Policy,
        probabilities: Floats,
        holds: Bools,
        kinds: Sequence[str] | None,
        outside: tuple[Sequence[str], Floats] | None,
    ) -> Self:
        """Arguments as of `for_any`."""
        own = np.where(holds.any(axis=1), IN_SCOPE, OTHER) if kinds is None else np.asarray(kinds)
        names, more = outside or ([], probabilities[:0])
        every = np.concatenate([own, np.array(names, np.str_)])
        return cls(
            probabilities=np.concatenate([probabilities, more]),
            holds=np.concatenate([holds, np.zeros(more.shape, bool)]),
            kinds=every,
            weights=weights_at(every, policy.out_of_scope),
        )

    def at(self, limits: Iterable[Threshold]) -> dict[str, Any]:
        """What is answered with these thresholds, as `at_share` has it; an answer has just the labels that hold."""
        act, unsure = zip(*((limit.act, limit.unsure) for limit in limits), strict=True)
        named = self.probabilities >= np.array(act, np.float32)
        doubted = ((self.probabilities >= np.array(unsure, np.float32)) & ~named).any(axis=1)
        right: Bools = np.asarray((named == self.holds).all(axis=1))
        answered: Bools = np.asarray(named.any(axis=1) & ~doubted)
        return at_share(self.kinds, self.weights, answered, right)

    def tables(self, names: Iterable[str]) -> dict[str, dict[str, list[float]]]:
        """Of each label, as of `tabled`."""
        made = {}
        for name, scores, held in zip(names, self.probabilities.T, self.holds.T, strict=True):
            own, all_ = self.weights[held], ((scores >= act) * self.weights for act in ACTS)
            given = [(float(each[held].sum()), float(each.sum())) for each in all_]
            made[name] = tabled((right / (own.sum() or 1), (every - right) / (every or 1)) for right, every in given)
        return made


_ACTS, _ACTS_BY_WRITTEN_TEXT = (0.25, 0.99), (0.8, 0.99)
"""The lowest and the highest threshold of topics without a goal. Up to .95, 2, 9 and 17 % of the labels given on SNIPS,
HWU64 and Banking77 were wrong, up to .99 2, 4 and 10 % (700 messages of each; benchmarks/answers/topics.py)."""


def _topic_limits(
    policy: Policy, probabilities: Floats, holds: Bools, traffic: _TopicTraffic, *, real: bool
) -> dict[str, Threshold]:
    """With a goal, each label's own threshold, which keeps to it among held-out rows and in traffic alike. Without one,
    a label is in doubt from where its F1 is best or lower, and named from where few of all labels given are wrong."""
    goal = policy.goal
    limits = {
        name: calibrate.topic_threshold(
            scores, holds=held, max_error=goal.max_error if goal else None, most_doubt=_MOST_DOUBT / len(policy.labels)
        )
        for name, scores, held in zip(policy.labels, probabilities.T, holds.T, strict=True)
    }
    if goal is not None:
        each = zip(limits.items(), traffic.probabilities.T, traffic.holds.T, strict=True)
        reached = (
            (name, limit, calibrate.act_for_error(scores, held, goal.max_error, traffic.weights))
            for (name, limit), scores, held in each
        )
        return {
            name: Threshold(act=max(limit.act, reach.act if reach else NEVER.act), unsure=limit.unsure)
            for name, limit, reach in reached
        }
    weights = np.repeat(traffic.weights, len(policy.labels))
    reach = calibrate.act_for_error(
        traffic.probabilities.ravel(), traffic.holds.ravel(), calibrate.DEFAULT_ERROR, weights
    )
    act = float(np.clip(reach.act if reach else 1.0, *(_ACTS if real else _ACTS_BY_WRITTEN_TEXT)))
    return {name: Threshold(act=act, unsure=min(act, limit.unsure)) for name, limit in limits.items()}


_RIGHT_BLOCKS, _LEAST_BLOCKED, _MOST_FLAGGED = 0.9, 0.5, 0.05
"""The share of blocks that are to be right, the least probability of one, and of ordinary traffic, the most that may be
flagged or in doubt."""

_LEAST_RIGHT = np.arange(0.02, 1, 0.02)
"""Of the blocks that a threshold adds at its lower end, shares that may have to be right."""


def _least_in_traffic(ordinary: Floats, harmful: Floats, harmful_share: float) -> list[Threshold]:
    """The lowest thresholds that ordinary traffic allows. Of sets at which each label's last blocks are right equally
    often, the one that blocks most while nine in ten of all blocks are right; NEVER's where there is none.

    ordinary, harmful: (m, labels), (n, labels) probabilities of harmless and of harmful text; harmful_share: of the
    traffic. One threshold for all would be that of the label which ordinary text resembles most.
    """
    shares = (1 - harmful_share) / max(len(ordinary), 1), harmful_share / max(len(harmful), 1)
    each = list(zip(ordinary.T, harmful.T, strict=True))
    acts = [NEVER.act] * len(each)
    for right in _LEAST_RIGHT:
        tried = np.array([_act_at(calm, harm, shares, right) for calm, harm in each])
        wrong = shares[0] * (ordinary >= tried).any(axis=1).sum()
        caught = shares[1] * (harmful >= tried).any(axis=1).sum()
        if 0 < caught >= _RIGHT_BLOCKS * (caught + wrong):
            acts = tried.tolist()
            break
    rank = most(_MOST_FLAGGED / len(each), len(ordinary))
    doubts = (float(np.nextafter(np.sort(calm)[::-1][rank], np.float32(2))) for calm, _ in each)
    return [Threshold(act=act, unsure=min(act, unsure)) for act, unsure in zip(acts, doubts, strict=True)]


def _act_at(calm: Floats, harm: Floats, shares: tuple[float, float], right: float) -> float:
    """A label's threshold whose last blocks are right so often. shares: of the traffic, a text's of calm and harm."""
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
    bounds = ordinary if ordinary is not None and len(ordinary.kinds) else None
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
    if bounds:
        both = bounds.probabilities, probabilities[harmful]
        calm, harm = (part.max(axis=1, keepdims=True) for part in both) if goal else both
        least = _least_in_traffic(calm, harm, policy.harmful_share)
    reached = [
        _safety_reach(own, scores, held, ~harmful, most_doubt=doubt, least=floor, on=on, where=place, label=label)
        for (label, place, own, scores, held), floor in zip(asked, least, strict=True)
    ]
    limits = [limit for limit, _, _ in reached] * (len(policy.labels) if goal else 1)
    traffic = None
    if bounds:
        never = [name for name, limit in zip(policy.labels, limits, strict=True) if limit.act >= NEVER.act]
        reach = {"harmful_share": policy.harmful_share, "can_block": len(never) < len(limits), "never_blocked": never}
        traffic = {**reach, **_in_traffic(limits, probabilities[harmful], bounds)}
    return ChosenThresholds(
        traffic=traffic,
        thresholds=dict(zip(policy.labels, limits, strict=True)),
        goals=[record for _, record, _ in reached],
        missed=tuple(missed for _, _, missed in reached if missed),
        at={label or "": _at(scores[held], scores[~harmful]) for label, _, _, scores, held in asked},
    )


def _at(harmful: Floats, harmless: Floats) -> dict[str, list[float]]:
    each = ([(part >= act).sum() / max(len(part), 1) for act in ACTS] for part in (harmful, harmless))
    return tabled(zip(*each, strict=True))


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
        "met": all_met(*sides.values()),
        "demanded": list(demanded),
        "demanded_met": all_met(*demanded.values()),
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
