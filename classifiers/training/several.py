"""Measures of verdicts that may name several labels, or none: safety, and topics with `multi_label`. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.policy import Policy
from classifiers.thresholds import NOVEL
from classifiers.training import confusion, statistics
from classifiers.training.tallies import counts, curve, macro_f1, macro_ranks, ranking, ratio, share
from classifiers.training.worst import worst
from classifiers.verdict import Abstention, Verdict

_IN_DOUBT = frozenset({Abstention.UNSURE, Abstention.LANGUAGE})

_Bools = NDArray[np.bool_]


def any_of(
    policy: Policy, texts: Sequence[str], truths: Sequence[tuple[str, ...]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """As `evaluate` tells it. truths: of each text the policy's labels that hold."""
    scores = np.array([[v.scores.get(label, 0.0) for label in policy.labels] for v in verdicts], np.float32)
    scores = scores.reshape(len(texts), len(policy.labels))
    holds = np.array([[label in truth for label in policy.labels] for truth in truths], bool).reshape(scores.shape)
    said = np.array([[label in v.labels for label in policy.labels] for v in verdicts], bool).reshape(scores.shape)
    harmful: _Bools = np.asarray(holds.any(axis=1))
    flagged: _Bools = np.asarray(said.any(axis=1))
    doubted = np.array([v.abstention in _IN_DOUBT and not v.labels for v in verdicts], bool)
    exact: _Bools = np.asarray((said == holds).all(axis=1))
    highest: Floats = scores.max(axis=1) if scores.size else np.zeros(len(texts), np.float32)
    if policy.kind == "safety":
        right: _Bools = np.asarray(flagged == harmful)
        bins = statistics.reliability(highest, harmful)
        certain = np.where(harmful, 1 - highest, highest)
        risk = _risk(highest[:, None], harmful[:, None], verdicts)
    else:
        right = exact
        # that some label holds says nothing of whether it is the one with the score
        bins = statistics.reliability(scores.ravel(), holds.ravel())
        certain = np.where(said & ~holds, scores, (1 - scores) * (holds & ~said)).max(axis=1, initial=0.0)
        risk = _risk(scores, holds, verdicts)
    labels = {
        label: {
            **counts(
                int((said[:, index] & holds[:, index]).sum()), int(said[:, index].sum()), int(holds[:, index].sum())
            ),
            **ranking(scores[:, index], holds[:, index]),
        }
        for index, label in enumerate(policy.labels)
    }
    return {
        "rows": len(texts),
        "accuracy": ratio(int(right.sum()), len(right)),
        "interval": statistics.wilson(int(right.sum()), len(right)),
        **share("exact", int(exact.sum()), len(exact)),
        "kind": policy.kind,
        "flagged": _sides(flagged, harmful),
        "doubted": _sides(doubted, harmful),
        **({} if policy.kind == "safety" else _answers(exact, verdicts)),
        "any": ranking(highest, harmful),
        "macro": macro_ranks(labels),
        "ece": statistics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": risk,
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": confusion.any_of(
            list(policy.labels),
            [set(truth) for truth in truths],
            [set(v.labels) for v in verdicts],
            texts,
            scores,
            doubted=doubted.tolist(),
        ),
        "errors": worst(
            texts,
            ["+".join(truth) or "none" for truth in truths],
            ["+".join(v.labels) or ("unsure" if doubt else "none") for v, doubt in zip(verdicts, doubted, strict=True)],
            np.where(doubted, highest, certain),
            right,
        ),
    }


def _answers(exact: _Bools, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Of topics, what a rule can answer: texts that are given labels, none of them in doubt; wrong where they are not
    just those that hold. exact: (n,)."""
    answered = np.array([bool(v.labels) and v.abstention is None for v in verdicts], bool)
    wrong, total = int((answered & ~exact).sum()), int(answered.sum())
    return {**share("answered", total, len(answered)), **share("error", wrong, total)}


def _sides(chosen: _Bools, harmful: _Bools) -> dict[str, Any]:
    """Which share is chosen of harmful text, and of harmless. Both: (n,)."""
    return {
        **share("harmful", int((chosen & harmful).sum()), int(harmful.sum())),
        **share("harmless", int((chosen & ~harmful).sum()), int((~harmful).sum())),
    }


def _risk(scores: Floats, holds: _Bools, verdicts: Sequence[Verdict]) -> list[dict[str, float]]:
    """Risk and coverage where each score is held against one half, whatever the thresholds, and a text is as certain
    as the least certain of its scores. scores, holds: (n, what is decided)."""
    certain: Floats = np.maximum(scores, 1 - scores).min(axis=1, initial=1.0)
    right: _Bools = np.asarray(((scores >= 0.5) == holds).all(axis=1))
    return curve(certain, right, np.array([_decidable(verdict) for verdict in verdicts], bool))


def _decidable(verdict: Verdict) -> bool:
    """Whether some threshold would settle it: not text in another language, unlike the training's, or not all read, in
    which nothing was found."""
    if verdict.labels:
        return True
    return bool(verdict.scores) and verdict.abstention in {None, Abstention.UNSURE} and verdict.reason != NOVEL
