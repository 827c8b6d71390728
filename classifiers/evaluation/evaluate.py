"""Verdicts against the truth → measures, as plain data for report.json and `offramp eval`. Pure."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation import metrics
from classifiers.evaluation.metrics import counts, curve, macro, precision_recall, ranks, ratio, share
from classifiers.model.model import Bools, Floats
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import NOVEL_REASON
from classifiers.verdict import Abstention, Verdict

_WRONG_TEXTS, _RIGHT_TEXTS = 25, 3
_MOST_TEXTS = 4_000
_TEXT_CHARS = 600
_WORST = 40
_DIGITS = 5
_NONE = "none"
_IN_DOUBT = frozenset({Abstention.UNSURE, Abstention.LANGUAGE})


def evaluate(
    policy: Policy, texts: Sequence[str], truths: Sequence[Sequence[str]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Measures of a classifier on labelled texts.

    truths: for each text the labels that hold (empty or `none`: harmless; `other`: out of scope).
    Shares are 0..1; intervals are 95 % (Wilson), each under its share's name and `_interval`, accuracy's as `interval`.
    Keys: rows, accuracy, interval, macro_f1, labels (of each precision, recall, f1, support, and against all others
    auprc, auroc, recall_at_1pct_false_alarms), macro (the mean of those three), ece, reliability, risk_coverage,
    confusion, errors; of one label answered, error, out_of_scope; where several may hold exact, kind, flagged, doubted,
    any (how the highest score ranks), and of that and of each label precision_recall.
    """
    if not len(texts) == len(truths) == len(verdicts):
        raise ValueError(f"{len(texts)} texts, {len(truths)} truths and {len(verdicts)} verdicts")
    if policy.multi_label:
        held = [[label for label in truth if label in policy.labels] for truth in truths]
        return _multi_label(policy, texts, held, verdicts)
    return _single_label(policy, texts, [known(policy, truth) for truth in truths], verdicts)


def known(policy: Policy, truth: Sequence[str]) -> str:
    """The label of a single-label row; `other` where the policy has no such label."""
    return truth[0] if truth and truth[0] in policy.labels else OTHER


def top(verdict: Verdict) -> tuple[str, float]:
    """The likeliest label of a single-label verdict and its score, whether or not it was certain enough to name.
    `other` and 0 where there was nothing to read."""
    return (verdict.labels[0], verdict.confidence) if verdict.labels else _likeliest(verdict.scores)


def _likeliest(scores: Mapping[str, float]) -> tuple[str, float]:
    if not any(scores.values()):
        return OTHER, 0.0
    label = max(scores, key=lambda name: scores[name])
    rest = 1 - sum(scores.values())
    return (OTHER, rest) if rest > scores[label] else (label, scores[label])


def shortened(text: str) -> str:
    """A text as a report shows it: its first 600 characters."""
    return text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"


def _single_label(
    policy: Policy, texts: Sequence[str], truths: Sequence[str], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    guesses, likeliest = zip(*map(top, verdicts), strict=True) if verdicts else ((), ())
    confidences = np.array(likeliest, np.float32)
    truth, guess = np.array(truths, object), np.array(guesses, object)
    correct, in_scope = truth == guess, truth != OTHER
    answered = np.array([v.labels not in {(), (OTHER,)} and v.abstention is None for v in verdicts], bool)
    shown = _shown(texts, confidences, np.array([v.abstention is not None for v in verdicts], bool))
    scored = np.array([_scored(v) for v in verdicts], bool)
    bins = metrics.reliability(confidences[scored], correct[scored])
    names = [*policy.labels, OTHER]
    scores = _scores_with_other(policy, verdicts)
    labels = {
        name: _label(scores[:, place], truth == name, guess == name)
        for place, name in enumerate(names)
        if name in truths or name in guesses
    }
    return {
        **_accuracy(correct),
        **_share("answered", answered),
        **_share("error", ~correct, answered),
        "out_of_scope": {"rows": int((~in_scope).sum()), **_share("answered", answered, ~in_scope)},
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": curve(confidences, correct, np.array([_answerable(v) for v in verdicts], bool)),
        **macro(labels),
        "labels": labels,
        "confusion": confusion(names, [[label] for label in truths], [[label] for label in guesses], shown),
        "errors": _worst(truths, guesses, shown, correct),
    }


def _answerable(verdict: Verdict) -> bool:
    """Whether some threshold would answer it: not `other`, novel text, or text that leaves a required slot open."""
    if verdict.missing or verdict.reason == NOVEL_REASON:
        return False
    return top(verdict)[0] != OTHER and verdict.abstention in {None, Abstention.UNSURE}


def _scored(verdict: Verdict) -> bool:
    if verdict.labels == (OTHER,):
        return _likeliest(verdict.scores)[0] == OTHER
    return bool(verdict.labels) or any(verdict.scores.values())


def _scores(policy: Policy, verdicts: Sequence[Verdict]) -> NDArray[np.float64]:
    """(n, labels): each label's score, 0 where nothing was read."""
    rows = [[verdict.scores.get(label, 0.0) for label in policy.labels] for verdict in verdicts]
    return np.array(rows, np.float64).reshape(len(verdicts), len(policy.labels))


def _scores_with_other(policy: Policy, verdicts: Sequence[Verdict]) -> Floats:
    """(n, labels + 1): each label's score, and last the rest that `other` has; 0 where nothing was read."""
    named = _scores(policy, verdicts)
    sums = named.sum(axis=1, keepdims=True)
    # scores are rounded: a smaller rest is noise, and would rank texts of a policy without `other`
    rest = np.where(sums > 0, np.round(1 - sums, _DIGITS).clip(0), 0.0)
    return np.hstack([named, rest]).astype(np.float32)


def _multi_label(
    policy: Policy, texts: Sequence[str], truths: Sequence[Sequence[str]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    columns = list(policy.labels)
    scores = _scores(policy, verdicts).astype(np.float32)
    given = [verdict.labels for verdict in verdicts]
    holds, named = _holding(columns, truths), _holding(columns, given)
    harmful: Bools = np.asarray(holds.any(axis=1))
    flagged: Bools = np.asarray(named.any(axis=1))
    highest: Floats = scores.max(axis=1, initial=0.0)
    doubted = np.array([v.abstention in _IN_DOUBT and not v.labels for v in verdicts], bool)
    answered = np.array([bool(v.labels) and v.abstention is None for v in verdicts], bool)
    labels = {
        name: _label(scores[:, i], holds[:, i], named[:, i])
        | {"precision_recall": precision_recall(scores[:, i], holds[:, i])}
        for i, name in enumerate(columns)
    }
    exact = (named == holds).all(axis=1)
    safety = policy.kind == "safety"
    if safety:
        # what counts is whether a text is harmful, not which harm it is
        decided, asked, chosen = highest[:, None], harmful[:, None], flagged[:, None]
    else:
        decided, asked, chosen = scores, holds, named
    right = (chosen == asked).all(axis=1)
    certain = np.where(doubted, highest, np.where(chosen, decided, 1 - decided).min(axis=1, initial=1.0))
    shown = _shown(texts, certain, doubted)
    bins = metrics.reliability(decided.ravel(), asked.ravel())
    wanted, guesses = (["+".join(labels) or _NONE for labels in rows] for rows in (truths, given))
    return {
        **_accuracy(right),
        **_share("exact", exact),
        "kind": policy.kind,
        "flagged": {**_share("harmful", flagged, harmful), **_share("harmless", flagged, ~harmful)},
        "doubted": {**_share("harmful", doubted, harmful), **_share("harmless", doubted, ~harmful)},
        **({} if safety else {**_share("answered", answered), **_share("error", ~exact, answered)}),
        "any": {**ranks(highest, harmful), "precision_recall": precision_recall(highest, harmful)},
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": _risk(decided, asked, verdicts),
        **macro(labels),
        "labels": labels,
        "confusion": confusion([*columns, _NONE], truths, given, shown),
        "errors": _worst(wanted, guesses, shown, right),
    }


def _holding(columns: Sequence[str], rows: Sequence[Collection[str]]) -> Bools:
    """(rows, columns): which labels each row has."""
    return np.array([[label in row for label in columns] for row in rows], bool).reshape(len(rows), len(columns))


def _risk(scores: Floats, holds: Bools, verdicts: Sequence[Verdict]) -> list[dict[str, float]]:
    """Risk and coverage where each score is compared with one half, whatever the thresholds. A text is as certain as
    its least certain score. Novel, foreign or partly unread text in which nothing was found is settled by no threshold.
    scores, holds: (n, decisions)."""
    certain: Floats = np.maximum(scores, 1 - scores).min(axis=1, initial=1.0)
    settled = [None, Abstention.UNSURE]
    decidable = [
        bool(v.labels) or (bool(v.scores) and v.abstention in settled and v.reason != NOVEL_REASON) for v in verdicts
    ]
    return curve(certain, ((scores >= 0.5) == holds).all(axis=1), np.array(decidable, bool))


def _label(scores: Floats, holds: Bools, named: Bools) -> dict[str, Any]:
    """A label's counts and ranking. All: (n,)."""
    return {**counts(int((named & holds).sum()), int(named.sum()), int(holds.sum())), **ranks(scores, holds)}


def _accuracy(right: Bools) -> dict[str, Any]:
    count, total = int(right.sum()), len(right)
    return {"rows": total, "accuracy": ratio(count, total), "interval": metrics.wilson(count, total)}


def _share(name: str, chosen: Bools, among: Bools | None = None) -> Mapping[str, Any]:
    """The share of the rows `among` that are chosen. Both: (n,)."""
    return _share(name, chosen[among]) if among is not None else share(name, int(chosen.sum()), len(chosen))


def _shown(texts: Sequence[str], confidences: Floats, doubted: Bools) -> list[dict[str, Any]]:
    """Each row as a page shows it. doubted: rows to mark as not answered."""
    certain = [
        {"text": shortened(text), "confidence": round(c, 4)}
        for text, c in zip(texts, confidences.tolist(), strict=True)
    ]
    return [{**row, "doubt": True} if doubt else row for row, doubt in zip(certain, doubted, strict=True)]


def confusion(
    names: Sequence[str],
    truths: Sequence[Collection[str]],
    guesses: Sequence[Collection[str]],
    shown: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """A sparse confusion matrix (after Krstinić et al. 2020 where texts may have several labels).

    A label that holds and was predicted counts on the diagonal. Each missed label counts against each wrongly predicted
    one, or against `none`, the last name. Returns labels: names; cells: [truth, prediction, count], by index into them;
    texts: for each cell some of the rows in `shown`, of errors the most certain, else the least certain.
    """
    index = {name: place for place, name in enumerate(names)}
    rows: dict[tuple[int, int], list[Mapping[str, Any]]] = defaultdict(list)
    for truth, guess, row in zip(map(set, truths), map(set, guesses), shown, strict=True):
        pairs = {(name, name) for name in truth & guess}
        if truth != guess or not truth:
            pairs.update(itertools.product(truth - guess or {_NONE}, guess - truth or {_NONE}))
        for name, other in pairs:
            rows[index[name], index[other]].append(row)
    left = _MOST_TEXTS
    texts = {}
    # errors first, since the texts are limited
    for cell in sorted(rows, key=lambda cell: (cell[0] == cell[1], cell)):
        right = cell[0] == cell[1]
        order = sorted(rows[cell], key=lambda row: row["confidence"], reverse=not right)
        texts[cell] = order[: min(left, _RIGHT_TEXTS if right else _WRONG_TEXTS)]
        left -= len(texts[cell])
    cells = sorted(rows)
    return {
        "labels": list(names),
        "cells": [[*cell, len(rows[cell])] for cell in cells],
        "texts": [texts[cell] for cell in cells],
    }


def _worst(
    truths: Sequence[str], guesses: Sequence[str], shown: Sequence[Mapping[str, Any]], correct: Bools
) -> list[dict[str, Any]]:
    order = sorted(np.flatnonzero(~correct).tolist(), key=lambda row: -shown[row]["confidence"])
    return [{"index": row, "truth": truths[row], "predicted": guesses[row], **shown[row]} for row in order[:_WORST]]
