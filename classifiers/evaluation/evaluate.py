"""Verdicts against the truth → measures, as plain data for report.json and `offramp eval`. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation import metrics
from classifiers.evaluation.metrics import counts, curve, macro_f1, macro_ranks, ranking, ranks, ratio, share
from classifiers.model.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import NOVEL_REASON
from classifiers.verdict import Abstention, Verdict

_WRONG_TEXTS, _RIGHT_TEXTS = 25, 3
_MOST_TEXTS = 4_000
_TEXT_CHARS = 600
_WORST = 40
_DIGITS = 5
_IN_DOUBT = frozenset({Abstention.UNSURE, Abstention.LANGUAGE})
_Pair = tuple[int, int]
_Bools = NDArray[np.bool_]
_T = TypeVar("_T")


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
        held = [tuple(label for label in truth if label in policy.labels) for truth in truths]
        return _multi_label(policy, texts, held, verdicts)
    return _single_label(policy, texts, [known(policy, truth) for truth in truths], verdicts)


def known(policy: Policy, truth: Sequence[str]) -> str:
    """The label of a single-label row; `other` where the policy has no such label."""
    return truth[0] if truth and truth[0] in policy.labels else OTHER


def top(verdict: Verdict) -> tuple[str, float]:
    """The likeliest label of a single-label verdict and its score, whether or not it was certain enough to name.

    `other` and 0 where there was nothing to read.
    """
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
    tops = [top(verdict) for verdict in verdicts]
    guesses = [label for label, _ in tops]
    confidences = np.array([score for _, score in tops], np.float32)
    correct = np.array([guess == truth for guess, truth in zip(guesses, truths, strict=True)], bool)
    answered = np.array([bool(v.labels) and v.labels[0] != OTHER and v.abstention is None for v in verdicts], bool)
    doubted = [verdict.abstention is not None for verdict in verdicts]
    answerable = np.array([_answerable(verdict) for verdict in verdicts], bool)
    in_scope = np.array([truth != OTHER for truth in truths], bool)
    named_other = np.array([verdict.labels == (OTHER,) for verdict in verdicts], bool)
    scored = np.array([_scored(verdict) for verdict in verdicts], bool)
    bins = metrics.reliability(confidences[scored], correct[scored])
    labels = _label_figures(policy, truths, guesses, verdicts)
    return {
        **_accuracy(correct),
        **_share("answered", answered),
        **_share("error", ~correct, answered),
        "out_of_scope": {
            "rows": int((~in_scope).sum()),
            **_share("answered", answered, ~in_scope),
            **_share("false_other", named_other, in_scope),
        },
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": curve(confidences, correct, answerable),
        "macro": macro_ranks(labels),
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": single_label_confusion(
            [*policy.labels, OTHER], truths, guesses, texts, confidences.tolist(), doubted=doubted
        ),
        "errors": _worst(texts, truths, guesses, confidences, correct, doubted=doubted),
    }


def _accuracy(right: _Bools) -> dict[str, Any]:
    count, total = int(right.sum()), len(right)
    return {"rows": total, "accuracy": ratio(count, total), "interval": metrics.wilson(count, total)}


def _share(name: str, chosen: _Bools, among: _Bools | None = None) -> Mapping[str, Any]:
    """The share of the rows `among` that are chosen. Both: (n,)."""
    if among is None:
        return share(name, int(chosen.sum()), len(chosen))
    return share(name, int((chosen & among).sum()), int(among.sum()))


def _label_figures(
    policy: Policy, truths: Sequence[str], guesses: Sequence[str], verdicts: Sequence[Verdict]
) -> dict[str, dict[str, Any]]:
    """Counts and ranks of each label, `other` included, that is true or predicted of some row."""
    scores = _scores_with_other(policy, verdicts)
    predicted, actual = Counter(guesses), Counter(truths)
    right = Counter(guess for guess, truth in zip(guesses, truths, strict=True) if guess == truth)
    return {
        name: {
            **counts(right[name], predicted[name], actual[name]),
            **ranks(scores[:, index], np.array([truth == name for truth in truths], bool)),
        }
        for index, name in enumerate((*policy.labels, OTHER))
        if name in actual or name in predicted
    }


def _scores_with_other(policy: Policy, verdicts: Sequence[Verdict]) -> Floats:
    """(n, labels + 1): each label's score, and last the rest that `other` has; 0 where nothing was read."""
    named = _table(verdicts, list(policy.labels), lambda verdict, label: verdict.scores.get(label, 0.0), np.float64)
    sums = named.sum(axis=1, keepdims=True)
    # scores are rounded: a smaller rest is noise, and would rank texts of a policy without `other`
    rest = np.where(sums > 0, np.round(1 - sums, _DIGITS).clip(0), 0.0)
    scores: Floats = np.hstack([named, rest]).astype(np.float32)
    return scores


def _scored(verdict: Verdict) -> bool:
    """Whether the scores say how likely the verdict is right: not for novel text, nor where nothing was read."""
    if verdict.labels == (OTHER,):
        return _likeliest(verdict.scores)[0] == OTHER
    return bool(verdict.labels) or any(verdict.scores.values())


def _answerable(verdict: Verdict) -> bool:
    """Whether some threshold would answer it: not `other`, novel text, or text that leaves a required slot open."""
    if verdict.missing or verdict.reason == NOVEL_REASON:
        return False
    return top(verdict)[0] != OTHER and verdict.abstention in {None, Abstention.UNSURE}


def _multi_label(
    policy: Policy, texts: Sequence[str], truths: Sequence[tuple[str, ...]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Measures where texts may have several labels or none: safety, and topics with `multi_label`."""
    columns = list(policy.labels)
    scores: Floats = _table(verdicts, columns, lambda verdict, label: verdict.scores.get(label, 0.0), np.float32)
    holds: _Bools = _table(truths, columns, lambda truth, label: label in truth, bool)
    named: _Bools = _table(verdicts, columns, lambda verdict, label: label in verdict.labels, bool)
    harmful: _Bools = np.asarray(holds.any(axis=1))
    flagged: _Bools = np.asarray(named.any(axis=1))
    doubted = np.array([v.abstention in _IN_DOUBT and not v.labels for v in verdicts], bool)
    answered = np.array([bool(v.labels) and v.abstention is None for v in verdicts], bool)
    exact: _Bools = np.asarray((named == holds).all(axis=1))
    highest: Floats = scores.max(axis=1, initial=0.0)
    safety = policy.kind == "safety"
    if safety:
        right: _Bools = np.asarray(flagged == harmful)
        bins = metrics.reliability(highest, harmful)
        certain = np.where(harmful, 1 - highest, highest)
        risk = _risk(highest[:, None], harmful[:, None], verdicts)
    else:
        right = exact
        # whether any label holds does not say whether the label with the score does
        bins = metrics.reliability(scores.ravel(), holds.ravel())
        certain = np.where(named & ~holds, scores, (1 - scores) * (holds & ~named)).max(axis=1, initial=0.0)
        risk = _risk(scores, holds, verdicts)
    labels = {name: _column(scores[:, i], holds[:, i], named[:, i]) for i, name in enumerate(columns)}
    nothing = ["unsure" if doubt else "none" for doubt in doubted]
    guesses = ["+".join(v.labels) or instead for v, instead in zip(verdicts, nothing, strict=True)]
    wanted = ["+".join(truth) or "none" for truth in truths]
    named_sets = [set(v.labels) for v in verdicts]
    return {
        **_accuracy(right),
        **_share("exact", exact),
        "kind": policy.kind,
        "flagged": {**_share("harmful", flagged, harmful), **_share("harmless", flagged, ~harmful)},
        "doubted": {**_share("harmful", doubted, harmful), **_share("harmless", doubted, ~harmful)},
        **({} if safety else {**_share("answered", answered), **_share("error", ~exact, answered)}),
        "any": ranking(highest, harmful),
        "macro": macro_ranks(labels),
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": risk,
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": multi_label_confusion(
            columns, list(map(set, truths)), named_sets, texts, scores, doubted=doubted.tolist()
        ),
        "errors": _worst(texts, wanted, guesses, np.where(doubted, highest, certain), right),
    }


def _table(rows: Sequence[_T], labels: Sequence[str], cell: Callable[[_T, str], float], dtype: type) -> NDArray[Any]:
    """(rows, labels): a value for each row and label."""
    return np.array([[cell(row, label) for label in labels] for row in rows], dtype).reshape(len(rows), len(labels))


def _column(scores: Floats, holds: _Bools, named: _Bools) -> dict[str, Any]:
    """A label's counts and ranking. All: (n,)."""
    return {
        **counts(int((named & holds).sum()), int(named.sum()), int(holds.sum())),
        **ranking(scores, holds),
    }


def _risk(scores: Floats, holds: _Bools, verdicts: Sequence[Verdict]) -> list[dict[str, float]]:
    """Risk and coverage where each score is compared with one half, whatever the thresholds.

    A text is as certain as its least certain score. scores, holds: (n, decisions).
    """
    certain: Floats = np.maximum(scores, 1 - scores).min(axis=1, initial=1.0)
    right: _Bools = np.asarray(((scores >= 0.5) == holds).all(axis=1))
    return curve(certain, right, np.array([_decidable(verdict) for verdict in verdicts], bool))


def _decidable(verdict: Verdict) -> bool:
    """Whether some threshold would settle it: not novel, foreign or partly unread text in which nothing was found."""
    if verdict.labels:
        return True
    return bool(verdict.scores) and verdict.abstention in {None, Abstention.UNSURE} and verdict.reason != NOVEL_REASON


def single_label_confusion(
    names: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    texts: Sequence[str],
    confidences: Sequence[float],
    *,
    doubted: Sequence[bool] = (),
) -> dict[str, Any]:
    """A sparse confusion matrix; the sequences but `names` are of equal length.

    Returns labels: names; cells: [truth, prediction, count], by index into them; texts: for each cell some of its rows,
    of errors the most certain, else the least certain. doubted: rows that are not answered, which are marked.
    """
    index = {name: place for place, name in enumerate(names)}
    pairs = [[(index[truth], index[guess])] for truth, guess in zip(truths, guesses, strict=True)]
    return _matrix(names, pairs, texts, lambda row, _: confidences[row], doubted)


def multi_label_confusion(
    labels: Sequence[str],
    truths: Sequence[AbstractSet[str]],
    predictions: Sequence[AbstractSet[str]],
    texts: Sequence[str],
    scores: Floats,
    *,
    doubted: Sequence[bool],
) -> dict[str, Any]:
    """A matrix like `single_label_confusion`, with `none` as a further name (after Krstinić et al. 2020).

    A label that holds and was predicted counts on the diagonal. Each missed label counts against each wrongly predicted
    one, or against `none`. scores: (n, labels); doubted: whether nothing was predicted because it was in doubt. A text
    is as certain as its cell's prediction: of `none`, that the label does not hold; in doubt, its highest score.
    """
    names = [*labels, "none"]
    index = {name: place for place, name in enumerate(names)}
    pairs = []
    for true, named in zip(truths, predictions, strict=True):
        missed, extra = sorted(true - named), sorted(named - true)
        cells = [(name, name) for name in sorted(true & named)]
        if missed or extra or not cells:
            cells += [(name, other) for name in missed or ["none"] for other in extra or ["none"]]
        pairs.append([(index[name], index[other]) for name, other in cells])
    none = len(labels)

    def certainty(row: int, pair: _Pair) -> float:
        true, other = pair
        if other != none:
            return float(scores[row, other])
        if doubted[row] or true == none:
            highest = float(scores[row].max(initial=0.0))
            return highest if doubted[row] else 1 - highest
        return 1 - float(scores[row, true])

    return _matrix(names, pairs, texts, certainty, doubted)


def _matrix(
    names: Sequence[str],
    pairs: Sequence[Iterable[_Pair]],
    texts: Sequence[str],
    certainty: Callable[[int, _Pair], float],
    doubted: Sequence[bool],
) -> dict[str, Any]:
    rows: dict[_Pair, list[int]] = defaultdict(list)
    for row, cells in enumerate(pairs):
        for pair in cells:
            rows[pair].append(row)
    left = _MOST_TEXTS
    shown: dict[_Pair, list[dict[str, Any]]] = {}
    # errors first, since the texts are limited
    for pair in sorted(rows, key=lambda cell: (cell[0] == cell[1], cell)):
        right = pair[0] == pair[1]
        certain = {row: certainty(row, pair) for row in rows[pair]}
        order = sorted(certain, key=certain.__getitem__, reverse=not right)
        kept = order[: min(left, _RIGHT_TEXTS if right else _WRONG_TEXTS)]
        left -= len(kept)
        shown[pair] = [_shown(texts[row], certain[row], row, doubted) for row in kept]
    cells = sorted(rows)
    return {
        "labels": list(names),
        "cells": [[*pair, len(rows[pair])] for pair in cells],
        "texts": [shown[pair] for pair in cells],
    }


def _shown(text: str, confidence: float, row: int, doubted: Sequence[bool]) -> dict[str, Any]:
    mark = {"doubt": True} if doubted and doubted[row] else {}
    return {"text": shortened(text), "confidence": round(float(confidence), 4), **mark}


def _worst(
    texts: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    confidences: NDArray[np.floating],
    correct: _Bools,
    *,
    doubted: Sequence[bool] = (),
) -> list[dict[str, Any]]:
    """The most confident errors, in that order; `index` is the text's place. doubted: texts to mark as not answered."""
    order = [int(place) for place in np.argsort(-confidences, kind="stable") if not correct[place]]
    return [
        {
            "index": place,
            "text": shortened(texts[place]),
            "truth": truths[place],
            "said": guesses[place],
            **_shown(texts[place], confidences[place], place, doubted),
        }
        for place in order[:_WORST]
    ]
