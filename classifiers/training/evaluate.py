"""Verdicts against the truth → measures, as plain data that report.json and `offramp eval` show. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from classifiers.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.thresholds import NOVEL
from classifiers.training import confusion, statistics
from classifiers.training.several import any_of
from classifiers.training.tallies import counts, curve, macro_f1, macro_ranks, ranks, ratio, share
from classifiers.training.worst import worst
from classifiers.verdict import Abstention, Verdict

_DIGITS = 5


def evaluate(
    policy: Policy, texts: Sequence[str], truths: Sequence[Sequence[str]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Measures of a classifier on labelled texts.

    truths: for each text the labels that hold (empty or `none`: harmless; `other`: out of scope).
    Shares are 0..1; intervals are 95 % (Wilson), each under its share's name and `_interval`, accuracy's as `interval`.
    Keys: rows, accuracy, interval, macro_f1, labels (of each precision, recall, f1, support, and against all others
    auprc, auroc, recall_at_1pct_false_alarms), macro (the mean of those three), ece, reliability, risk_coverage,
    confusion, errors; of one label answered, error, out_of_scope; where several may hold exact, kind, flagged, doubted,
    any (how the highest score ranks), and of that and of each label roc and precision_recall.
    """
    if not len(texts) == len(truths) == len(verdicts):
        raise ValueError(f"{len(texts)} texts, {len(truths)} truths and {len(verdicts)} verdicts")
    if policy.multi_label:
        return any_of(
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
    doubted = [verdict.abstention is not None for verdict in verdicts]
    answerable = np.array([_answerable(verdict) for verdict in verdicts], bool)
    in_scope = np.array([truth != OTHER for truth in truths], bool)
    wrong = int((answered & ~correct).sum())
    scored = np.array([_scored(verdict) for verdict in verdicts], bool)
    bins = statistics.reliability(confidences[scored], correct[scored])
    names = [*policy.labels, OTHER]
    scores = _scores(policy, verdicts)
    said, true = Counter(guesses), Counter(truths)
    both = Counter(guess for guess, right in zip(guesses, correct.tolist(), strict=True) if right)
    place = {name: index for index, name in enumerate(names)}
    places = np.array([place[truth] for truth in truths], int)
    labels = {
        name: {**counts(both[name], said[name], true[name]), **ranks(scores[:, index], places == index)}
        for name, index in place.items()
        if name in true or name in said
    }
    return {
        "rows": len(texts),
        "accuracy": ratio(int(correct.sum()), len(correct)),
        "interval": statistics.wilson(int(correct.sum()), len(correct)),
        **share("answered", int(answered.sum()), len(answered)),
        **share("error", wrong, int(answered.sum())),
        "out_of_scope": {
            "rows": int((~in_scope).sum()),
            **share("answered", int((answered & ~in_scope).sum()), int((~in_scope).sum())),
            **share(
                "false_other",
                sum(v.labels == (OTHER,) for v, known in zip(verdicts, in_scope, strict=True) if known),
                int(in_scope.sum()),
            ),
        },
        "ece": statistics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": curve(confidences, correct, answerable),
        "macro": macro_ranks(labels),
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": confusion.one_of(names, truths, guesses, texts, confidences.tolist(), doubted=doubted),
        "errors": worst(texts, truths, guesses, confidences, correct, doubted=doubted),
    }


def _scores(policy: Policy, verdicts: Sequence[Verdict]) -> Floats:
    """(n, labels + 1): each label's score, and at last what they leave to `other`: nothing where nothing was read."""
    told = [[v.scores.get(label, 0.0) for label in policy.labels] for v in verdicts]
    named = np.array(told, np.float64).reshape(len(verdicts), len(policy.labels))
    sums = named.sum(axis=1, keepdims=True)
    # what is left beyond the digits of the scores is noise, and would rank text that scores of no `other` cannot
    rest = np.where(sums > 0, np.round(1 - sums, _DIGITS).clip(0), 0.0)
    scores: Floats = np.hstack([named, rest]).astype(np.float32)
    return scores


def _answerable(verdict: Verdict) -> bool:
    """Whether some threshold would have it answered: `other` never is, nor what a threshold has no part in (text unlike
    the training's, or that leaves a required slot open)."""
    if verdict.missing or verdict.reason == NOVEL:
        return False
    return top(verdict)[0] != OTHER and verdict.abstention in {None, Abstention.UNSURE}
