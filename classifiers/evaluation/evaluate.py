"""Verdicts against the truth → measures, as plain data that report.json and `offramp eval` show. Pure.

Confusion matrices with the texts behind each cell. Pure.

The errors to read first. Pure.

Measures of verdicts that may name several labels, or none: safety, and topics with `multi_label`. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

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

_Pair = tuple[int, int]


def one_of(
    names: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    texts: Sequence[str],
    confidences: Sequence[float],
    *,
    doubted: Sequence[bool] = (),
) -> dict[str, Any]:
    """Of single-label rows; the sequences but `names` are of equal length.

    Sparse. labels: names; cells: [truth, said, count] by index into them; texts: for each cell some of its rows, of
    errors the most certain, else the least certain. doubted: which rows are not answered, whatever is likeliest; they
    are marked.
    """
    index = {name: place for place, name in enumerate(names)}
    pairs = [[(index[truth], index[guess])] for truth, guess in zip(truths, guesses, strict=True)]
    return _matrix(names, pairs, texts, lambda row, _: confidences[row], doubted)


def multi_label_confusion(
    labels: Sequence[str],
    truths: Sequence[AbstractSet[str]],
    said: Sequence[AbstractSet[str]],
    texts: Sequence[str],
    scores: Floats,
    *,
    doubted: Sequence[bool],
) -> dict[str, Any]:
    """Of rows with any number of labels, as `one_of` has it, with `none` as a further name.

    A label that holds and was said counts on the diagonal; each that was missed, against each that was said without
    holding, or against `none` where there is nothing on the other side (after Krstinić et al. 2020).
    scores: (n, labels); doubted: whether nothing was said because it was in doubt. A text is as certain as what its
    cell says was said: of `none`, that the label does not hold; of doubt, which is marked, as its highest score.
    """
    names = [*labels, "none"]
    index = {name: place for place, name in enumerate(names)}
    pairs = []
    for true, named in zip(truths, said, strict=True):
        missed, extra = sorted(true - named), sorted(named - true)
        found = [(name, name) for name in sorted(true & named)]
        if missed or extra or not found:
            found += [(one, other) for one in missed or ["none"] for other in extra or ["none"]]
        pairs.append([(index[one], index[other]) for one, other in found])
    none = len(labels)

    def certain(row: int, pair: _Pair) -> float:
        true, other = pair
        if other != none:
            return float(scores[row, other])
        if doubted[row] or true == none:
            highest = float(scores[row].max(initial=0.0))
            return highest if doubted[row] else 1 - highest
        return 1 - float(scores[row, true])

    return _matrix(names, pairs, texts, certain, doubted)


def _matrix(
    names: Sequence[str],
    pairs: Sequence[Iterable[_Pair]],
    texts: Sequence[str],
    certain: Callable[[int, _Pair], float],
    doubted: Sequence[bool],
) -> dict[str, Any]:
    rows: dict[_Pair, list[int]] = defaultdict(list)
    for row, found in enumerate(pairs):
        for pair in found:
            rows[pair].append(row)
    left = _MOST_TEXTS
    shown: dict[_Pair, list[dict[str, Any]]] = {}
    # errors first: they are what texts are wanted for
    for pair in sorted(rows, key=lambda cell: (cell[0] == cell[1], cell)):
        right = pair[0] == pair[1]
        sure = {row: certain(row, pair) for row in rows[pair]}
        order = sorted(sure, key=sure.__getitem__, reverse=not right)
        kept = order[: min(left, _RIGHT_TEXTS if right else _WRONG_TEXTS)]
        left -= len(kept)
        shown[pair] = [
            {
                "text": shortened(texts[row]),
                "confidence": round(float(sure[row]), 4),
                **({"doubt": True} if doubted and doubted[row] else {}),
            }
            for row in kept
        ]
    cells = sorted(rows)
    return {
        "labels": list(names),
        "cells": [[*pair, len(rows[pair])] for pair in cells],
        "texts": [shown[pair] for pair in cells],
    }


def shortened(text: str) -> str:
    """A text as a report shows it: its first 600 characters."""
    return text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"


_WORST = 40


def worst(
    texts: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    confidences: NDArray[np.floating],
    correct: NDArray[np.bool_],
    *,
    doubted: Sequence[bool] = (),
) -> list[dict[str, Any]]:
    """The errors made with most confidence, in that order. doubted: which of the texts are not answered, where `said`
    does not tell it; their errors are marked. index: which of the texts each is."""
    order = [int(place) for place in np.argsort(-confidences, kind="stable") if not correct[place]]
    return [
        {
            "index": place,
            "text": shortened(texts[place]),
            "truth": truths[place],
            "said": guesses[place],
            "confidence": round(float(confidences[place]), 4),
            **({"doubt": True} if doubted and doubted[place] else {}),
        }
        for place in order[:_WORST]
    ]


_IN_DOUBT = frozenset({Abstention.UNSURE, Abstention.LANGUAGE})

_Bools = NDArray[np.bool_]


def multi_label_evaluation(
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
        bins = metrics.reliability(highest, harmful)
        certain = np.where(harmful, 1 - highest, highest)
        risk = _risk(highest[:, None], harmful[:, None], verdicts)
    else:
        right = exact
        # that some label holds says nothing of whether it is the one with the score
        bins = metrics.reliability(scores.ravel(), holds.ravel())
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
        "interval": metrics.wilson(int(right.sum()), len(right)),
        **share("exact", int(exact.sum()), len(exact)),
        "kind": policy.kind,
        "flagged": _sides(flagged, harmful),
        "doubted": _sides(doubted, harmful),
        **({} if policy.kind == "safety" else _answers(exact, verdicts)),
        "any": ranking(highest, harmful),
        "macro": macro_ranks(labels),
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": risk,
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": multi_label_confusion(
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
    return bool(verdict.scores) and verdict.abstention in {None, Abstention.UNSURE} and verdict.reason != NOVEL_REASON


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
        return multi_label_evaluation(
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
    bins = metrics.reliability(confidences[scored], correct[scored])
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
        "interval": metrics.wilson(int(correct.sum()), len(correct)),
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
        "ece": metrics.expected_calibration_error(bins),
        "reliability": bins,
        "risk_coverage": curve(confidences, correct, answerable),
        "macro": macro_ranks(labels),
        "macro_f1": macro_f1(labels),
        "labels": labels,
        "confusion": one_of(names, truths, guesses, texts, confidences.tolist(), doubted=doubted),
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
    if verdict.missing or verdict.reason == NOVEL_REASON:
        return False
    return top(verdict)[0] != OTHER and verdict.abstention in {None, Abstention.UNSURE}
