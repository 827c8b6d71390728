"""Verdicts against the truth → measures, as plain data that report.json and `offramp eval` show. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.thresholds import NOVEL
from classifiers.training import confusion, statistics
from classifiers.training.calibrate import risk_coverage
from classifiers.training.tallies import counts, macro_f1, ranking, ratio, share
from classifiers.verdict import Abstention, Verdict

_IN_DOUBT = frozenset({Abstention.UNSURE, Abstention.LANGUAGE})
_WORST = 40
_CURVE_POINTS = 60


def evaluate(
    policy: Policy, texts: Sequence[str], truths: Sequence[Sequence[str]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Measures of a classifier on labelled texts.

    truths: for each text the labels that hold (empty or `none`: harmless; `other`: out of scope).
    Shares are 0..1; intervals are 95 % (Wilson). Keys: rows, accuracy, interval, macro_f1, labels (precision, recall,
    f1 and support of each), answered, error, ece, reliability, risk_coverage, confusion, errors; where
    several labels may hold exact, kind, flagged, doubted, any and for each label auprc, auroc,
    recall_at_1pct_false_alarms, roc and precision_recall.
    """
    if not len(texts) == len(truths) == len(verdicts):
        raise ValueError(f"{len(texts)} texts, {len(truths)} truths and {len(verdicts)} verdicts")
    if policy.multi_label:
        return _any_of(
            policy, texts, [tuple(label for label in truth if label in policy.labels) for truth in truths], verdicts
        )
    return _one_of(policy, texts, [known(policy, truth) for truth in truths], verdicts)


def known(policy: Policy, truth: Sequence[str]) -> str:
    """Of a single-label row its label; `other` where that is none of the policy's."""
    return truth[0] if truth and truth[0] in policy.labels else OTHER


def top(verdict: Verdict) -> tuple[str, float]:
    """The likeliest label of a single-label verdict, whether or not it was certain enough to name, and its score;
    `other` and 0 where there was nothing to read."""
    if verdict.labels:
        return verdict.labels[0], verdict.confidence
    return _likeliest(verdict.scores)


def _likeliest(scores: Mapping[str, float]) -> tuple[str, float]:
    if not any(scores.values()):
        return OTHER, 0.0
    label = max(scores, key=lambda name: scores[name])
    rest = 1 - sum(scores.values())
    return (OTHER, rest) if rest > scores[label] else (label, scores[label])


def _scored(verdict: Verdict) -> bool:
    """Whether its scores say how likely it is right: not where novelty made it `other`, against them, nor where there
    was nothing to read."""
    if verdict.labels == (OTHER,):
        return _likeliest(verdict.scores)[0] == OTHER
    return bool(verdict.labels) or any(verdict.scores.values())


def _one_of(policy: Policy, texts: Sequence[str], truths: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    tops = [top(verdict) for verdict in verdicts]
    guesses = [label for label, _ in tops]
    confidences = np.array([score for _, score in tops], np.float32)
    correct = np.array([guess == truth for guess, truth in zip(guesses, truths, strict=True)], bool)
    answered = np.array([bool(v.labels) and v.labels[0] != OTHER and v.abstention is None for v in verdicts], bool)
    answerable = np.array([_answerable(verdict) for verdict in verdicts], bool)
    in_scope = np.array([truth != OTHER for truth in truths], bool)
    wrong = int((answered & ~correct).sum())
    scored = np.array([_scored(verdict) for verdict in verdicts], bool)
    bins = statistics.reliability(confidences[scored], correct[scored])
    names = [*policy.labels, OTHER]
    labels = {name: _label_measures(name, truths, guesses) for name in names if name in truths or name in guesses}
    return {
        "rows": len(texts),
        **share("accuracy", int(correct.sum()), len(correct)),
        "answered": ratio(int(answered.sum()), len(answered)),
        "error": ratio(wrong, int(answered.sum())),
        "error_interval": statistics.wilson(wrong, int(answered.sum())),
        "out_of_scope": {
            "rows": int((~in_scope).sum()),
            "answered": ratio(int((answered & ~in_scope).sum()), int((~in_scope).sum())),
            "false_other": ratio(
                sum(v.labels == (OTHER,) for v, known in zip(verdicts, in_scope, strict=True) if known),
                int(in_scope.sum()),
            ),
        },
        "ece": statistics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": _curve(confidences, correct, answerable),
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": confusion.one_of(names, truths, guesses, texts, confidences.tolist()),
        "errors": _worst(texts, truths, guesses, confidences, correct),
    }


def _any_of(
    policy: Policy, texts: Sequence[str], truths: Sequence[tuple[str, ...]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    scores = np.array([[v.scores.get(label, 0.0) for label in policy.labels] for v in verdicts], np.float32)
    scores = scores.reshape(len(texts), len(policy.labels))
    holds = np.array([[label in truth for label in policy.labels] for truth in truths], bool).reshape(scores.shape)
    harmful: NDArray[np.bool_] = np.asarray(holds.any(axis=1))
    flagged = np.array([bool(v.labels) for v in verdicts], bool)
    doubted = np.array([v.abstention in _IN_DOUBT and not v.labels for v in verdicts], bool)
    exact = np.array([set(v.labels) == set(truth) for v, truth in zip(verdicts, truths, strict=True)], bool)
    highest = scores.max(axis=1) if scores.size else np.zeros(len(texts), np.float32)
    right: NDArray[np.bool_] = np.asarray(flagged == harmful) if policy.kind == "safety" else exact
    if policy.kind == "safety":
        bins = statistics.reliability(highest, harmful)
        certain = np.where(harmful, 1 - highest, highest)
    else:
        # that some label holds says nothing of whether it is the one with the score
        bins = statistics.reliability(scores.ravel(), holds.ravel())
        said = np.array([[label in v.labels for label in policy.labels] for v in verdicts], bool).reshape(scores.shape)
        certain = np.where(said & ~holds, scores, (1 - scores) * (holds & ~said)).max(axis=1, initial=0.0)
    labels = {
        label: {
            **counts(
                sum(label in v.labels and held for v, held in zip(verdicts, holds[:, index], strict=True)),
                sum(label in v.labels for v in verdicts),
                int(holds[:, index].sum()),
            ),
            **ranking(scores[:, index], holds[:, index]),
        }
        for index, label in enumerate(policy.labels)
    }
    return {
        "rows": len(texts),
        **share("accuracy", int(right.sum()), len(right)),
        "exact": ratio(int(exact.sum()), len(exact)),
        "kind": policy.kind,
        "flagged": {
            "harmful": ratio(int((flagged & harmful).sum()), int(harmful.sum())),
            "harmful_interval": statistics.wilson(int((flagged & harmful).sum()), int(harmful.sum())),
            "harmless": ratio(int((flagged & ~harmful).sum()), int((~harmful).sum())),
            "harmless_interval": statistics.wilson(int((flagged & ~harmful).sum()), int((~harmful).sum())),
        },
        "doubted": {
            "harmful": ratio(int((doubted & harmful).sum()), int(harmful.sum())),
            "harmless": ratio(int((doubted & ~harmful).sum()), int((~harmful).sum())),
        },
        "any": ranking(highest, harmful),
        "ece": statistics.expected_calibration_error(bins),
        "reliability": bins,
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": confusion.any_of(
            list(policy.labels),
            [set(truth) for truth in truths],
            [set(v.labels) for v in verdicts],
            texts,
            np.maximum(highest, 1 - highest).tolist(),
        ),
        "errors": _worst(
            texts,
            ["+".join(truth) or "none" for truth in truths],
            ["+".join(v.labels) or "none" for v in verdicts],
            certain,
            right,
        ),
    }


def _label_measures(name: str, truths: Sequence[str], guesses: Sequence[str]) -> dict[str, Any]:
    both = sum(truth == name == guess for truth, guess in zip(truths, guesses, strict=True))
    return counts(both, sum(guess == name for guess in guesses), sum(truth == name for truth in truths))


def _worst(
    texts: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    confidences: NDArray[np.floating],
    correct: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """The errors made with most confidence. index: which of the texts each is."""
    order = [int(place) for place in np.argsort(-confidences, kind="stable") if not correct[place]]
    return [
        {
            "index": place,
            "text": confusion.shortened(texts[place]),
            "truth": truths[place],
            "said": guesses[place],
            "confidence": round(float(confidences[place]), 4),
        }
        for place in order[:_WORST]
    ]


def _answerable(verdict: Verdict) -> bool:
    """Whether some threshold would have it answered: `other` never is, nor what a threshold has no part in (text unlike
    the training's, or that leaves a required slot open)."""
    if verdict.missing or verdict.reason == NOVEL:
        return False
    return top(verdict)[0] != OTHER and verdict.abstention in {None, Abstention.UNSURE}


def _curve(confidences: Floats, correct: NDArray[np.bool_], answerable: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Risk and coverage, thinned: `answered` is of all texts, as it is beside the curve. All: (n,)."""
    points = risk_coverage(confidences[answerable], correct[answerable])
    share = float(answerable.mean()) if len(answerable) else 0.0
    keep = np.unique(np.linspace(0, len(points) - 1, min(_CURVE_POINTS, len(points))).astype(int)).tolist()
    return [
        {
            "act": round(points[i].act, 5),
            "answered": round(points[i].answered * share, 5),
            "error": round(points[i].error, 5),
        }
        for i in keep
    ]
