"""From which confidence on calls are decided here, and how many of them are checked. Pure.

All of it is choice: it may be wrong without breaking an account's promise. While in shadow the threshold is chosen that
should go live soonest; while live the lowest one that the account can bear.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gateway.contracts.account import Account, growth

_FEWEST, _NEAR, _PATIENCE = 0.03, 0.9, 2.0
"""What is tried: thresholds that let through this share of calls, at rates up to so many targets; by a guard, those
that should go live within so many times the calls of the strictest."""
_PRIOR, _HELD_OUT = 4.0, 100.0
"""Errors that a ratio of observed and predicted ones begins with; calls of its kind that held-out scores stand for."""
_AUDITS, _LATER_AUDITS, _SETTLED = 0.05, 0.02, 1500.0
"""Nominal rates of a live account, and the weight of checks from which on the lower one serves."""
_MORE, NEW = 0.5, 60
"""The nominal rate while a change is suspected, and until so many checks are in of a new guard or dated model."""
_TYPICAL, _MOST = 0.01, 0.3
"""The predicted error that is checked at the nominal rate, and the most that others are checked."""

_GROUP, _FLOOR, _LEAST, _STEPS = 10, 0.003, 1e-6, 12
"""Calls of a group; of the surest calls those that are wrong all the same; the least odds; of Newton's method."""
_DRAWN = np.array([0.1, 4.0])
"""How much the curve of errors is drawn towards what scores say, in rows."""

ScoreRow = tuple[float, float, bool]
"""A call's confidence or a guard's score, in 0..1; its weight, one over its chance of being checked; whether the answer
would have been wrong, or the text is unsafe."""
ScoreOfKind = tuple[float, float, bool]
"""A side's certainty about a call, in 0..1, 0 where it would never act; its weight; whether acting would be wrong."""


class ScoreGroup(Struct, frozen=True, kw_only=True, array_like=True):
    """Kept texts of one confidence, at least. share: of all calls; predicted, wrong: their mean predicted error, and
    the share that was wrong, of cross-fitted scores. All in 0..1."""

    confidence: float
    share: float
    predicted: float
    wrong: float


class ContractThreshold(Struct, frozen=True, kw_only=True, array_like=True):
    """share: of all calls those at or above it; rate: of the account's calls those that should be wrong with it."""

    confidence: float
    share: float
    rate: float


def score_groups(rows: Sequence[ScoreRow]) -> list[ScoreGroup]:
    """Rows in groups of about ten, by falling confidence. Weights count in shares alone: one wrong answer that was
    checked with a small chance would outweigh hundreds that were seen before, and what is forwarded for doubt is wrong
    more often, which the account corrects."""
    if not rows:
        return []
    columns = np.array(rows).T
    score, weight, wrong = columns[:, np.lexsort(-columns[::-1])]
    starts = np.arange(0, max(1, len(rows) - _GROUP + 1), _GROUP)
    counts, weights = np.diff(starts, append=len(rows)), np.add.reduceat(weight, starts)
    errors = np.add.reduceat(weight * _fitted_errors(score, wrong), starts) / weights
    last, share = starts + counts - 1, weights / weights.sum()
    parts = (score[last], share, errors, np.add.reduceat(wrong, starts) / counts)
    groups = zip(*(part.tolist() for part in parts), strict=True)
    return [ScoreGroup(confidence=c, share=s, predicted=p, wrong=w) for c, s, p, w in groups]


def _fitted_errors(score: NDArray[np.float64], wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that each is wrong: a logistic curve in the log-odds of its score (Platt 1999), drawn a little towards
    what the score says. A step function would take the surest texts for free of errors until the first one."""
    odds = np.log(np.maximum(1 - score, _LEAST) / np.maximum(score, _LEAST))
    rows, says, curve = np.column_stack([np.ones_like(odds), odds]), np.array([0.0, 1.0]), np.zeros(2)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ curve, -30, 30)))
        slope = rows.T @ (chance - wrong) + _DRAWN * (curve - says)
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(_DRAWN)
        step = np.linalg.solve(bend, slope)
        curve = curve - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-9))
    fitted: NDArray[np.float64] = _FLOOR + (1 - _FLOOR) / (1 + np.exp(-np.clip(rows @ curve, -30, 30)))
    return fitted


def predicted_error(table: Sequence[ScoreGroup], confidence: float) -> float:
    """Of a call; what its confidence says where there is no table."""
    if not table:
        return 1 - confidence
    place = bisect_left(table, -confidence, key=lambda group: -group.confidence)
    return table[min(place, len(table) - 1)].predicted


def of_kind(rows: Sequence[ScoreRow], *, flags: bool) -> list[ScoreOfKind]:
    """Scores as a guard's side takes them: the one that flags, or the one that lets pass."""
    if flags:
        return [(score, weight, not unsafe) for score, weight, unsafe in rows]
    return [(1 - score, weight, unsafe) for score, weight, unsafe in rows]


def for_answers(
    table: Sequence[ScoreGroup], texts: float, *, correction: float = 1.0, current: float | None = None
) -> list[ContractThreshold]:
    """The strictest first. table: by falling confidence; texts: that its groups hold together; current: the threshold
    in use, whose calls were wrong `correction` times as often as predicted (Account.correction)."""
    confidence, share, predicted, wrong = np.array(
        [(one.confidence, one.share, one.predicted, one.wrong) for one in table]
    ).T
    sums, each = np.cumsum(share), texts / len(table)
    observed = (each * np.cumsum(wrong) + _PRIOR) / (each * np.cumsum(predicted) + _PRIOR)
    checked = confidence >= (math.inf if current is None else current)
    rate = np.cumsum(share * predicted * np.where(checked, correction, 1.0)) * observed / np.maximum(sums, 1e-12)
    rows = zip(confidence, sums, np.clip(rate, 0.0, 1.0), strict=True)
    return [ContractThreshold(confidence=float(c), share=float(s), rate=float(r)) for c, s, r in rows]


def for_guard(judged: Sequence[ScoreOfKind], held_out: Sequence[ScoreOfKind]) -> list[ContractThreshold]:
    """A side's, the strictest first. judged: under its contract, weight 1/p each; held_out: of the artifact, which
    count as at most _HELD_OUT calls of the kind, and the less the more were judged."""
    own, start = (math.fsum(weight for _, weight, of_kind in some if of_kind) for some in (judged, held_out))
    scale = max(0.0, _HELD_OUT - own) / max(start, _HELD_OUT)
    rows = np.array([*judged, *((one, scale * weight, of_kind) for one, weight, of_kind in held_out)]).reshape(-1, 3)
    certainty, weight, of_kind = rows[np.argsort(-rows[:, 0], kind="stable")].T
    acted, wrong = np.cumsum(weight), np.cumsum(weight * of_kind)
    last = np.diff(certainty, append=-1.0) < 0
    found = zip(certainty[last], acted[last] / acted[-1:], (wrong[last] + 0.5) / (wrong[-1:] + 1), strict=True)
    return [ContractThreshold(confidence=float(c), share=float(s), rate=float(r)) for c, s, r in found if c > 0]


def choose(thresholds: Iterable[ContractThreshold], account: Account, *, of_kind: bool = False) -> float | None:
    """The confidence from which on calls are to be decided here, or would be if the account were live; None where no
    threshold will do. of_kind: the account is a guard's side, which sees all calls of its kind, decided here or not."""
    if account.live:
        most = account.highest_rate()
        return min((one.confidence for one in thresholds if one.rate <= most), default=None)
    target = account.target
    tried = [one for one in thresholds if one.rate < _NEAR * target and growth(target, one.rate) > 0]
    if of_kind:
        least = growth(target, 0.0) / _PATIENCE
        return min((one.confidence for one in tried if growth(target, one.rate) >= least), default=None)
    tried = [one for one in tried if one.share >= _FEWEST]
    soonest = max(tried, key=lambda one: growth(target, one.rate) * one.share, default=None)
    return None if soonest is None else soonest.confidence


def nominal_rate(account: Account, *, more: bool = False) -> float:
    """u of a call whose coin is flipped now. more: something is suspected, or fewer than NEW checks are in."""
    if not account.live:
        return 1.0
    return _MORE if more else _AUDITS if account.seen.weight < _SETTLED else _LATER_AUDITS


def answer_chance(nominal: float, predicted: float) -> float:
    """p of a call that would be answered here: the root of predicted error spends checks best (Neyman 1934).
    predicted: its error, in 0..1."""
    return max(nominal, min(_MOST, nominal * math.sqrt(predicted / _TYPICAL)))


def guard_chance(nominal: float, certainty: float, threshold: float) -> float:
    """p of a call that a side would decide, its certainty from the threshold to 1: denser near the threshold."""
    return max(nominal, _MOST * math.sqrt(max(0.0, 1 - certainty) / max(1 - threshold, 1e-9)))
