"""Out of scope: how well novelty tells messages about something else (far) and about unknown labels (near)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.banking77.dataset import Dataset, with_rows
from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.evaluation import metrics
from classifiers.model.model import Floats
from classifiers.policy import Policy
from classifiers.training.run import train

HIDDEN = 20
"""Labels that training does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """AUROC of out-of-scope messages against test messages of known labels. far: SNIPS' test; near: hidden labels'
    test messages."""

    what: str
    far: float
    near: float


def measure(
    data: Dataset, far: Sequence[str], models: Path, scratch: Path, encoder: Encoder, seeds: Sequence[int]
) -> Iterator[tuple[Scope, ...]]:
    """For each seed 20 labels are hidden: the served novelty, the served confidence, and a plain recipe's largest
    logit and softmax, all trained on the same real rows of the other labels."""
    for seed in seeds:
        hidden = set(random.Random(seed).sample(sorted(data.policy.labels), HIDDEN))
        rows = [row for row in data.train if row[1] not in hidden]
        known = [text for text, label in data.test if label not in hidden]
        near = [text for text, label in data.test if label in hidden]
        policy = with_rows(_without(data.policy, hidden), rows, "data", scratch)
        train(policy, base_dir=scratch, models_dir=models, seed=seed)
        runtime = Runtime.load(models, [policy.name], threads=encoder.threads)
        told = [
            runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text in texts])
            for texts in (known, near, far)
        ]
        novelty = [np.array([verdict.novelty for verdict in verdicts], np.float32) for verdicts in told]
        doubt = [np.array([-max(verdict.scores.values()) for verdict in verdicts], np.float32) for verdicts in told]
        logits = _plain(encoder, rows, (known, near, far))
        yield (
            _scope("Offramp's novelty", novelty),
            _scope("Offramp's confidence", doubt),
            _scope("frozen vectors + logistic regression, largest logit", [-part.max(axis=1) for part in logits]),
            _scope("the same, largest probability", [-_softmax(part).max(axis=1) for part in logits]),
        )


def _scope(what: str, scores: Sequence[Floats]) -> Scope:
    known, near, far = scores
    return Scope(what=what, far=_auroc(known, far), near=_auroc(known, near))


def _auroc(inside: Floats, outside: Floats) -> float:
    truth = np.repeat([False, True], [len(inside), len(outside)])
    return metrics.auroc(np.concatenate([inside, outside]), truth) or 0.0


def _plain(encoder: Encoder, rows: Sequence[tuple[str, str]], asked: Sequence[Sequence[str]]) -> list[Floats]:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = LogisticRegression(C=10.0, max_iter=1000)
        model.fit(embed(encoder, [text for text, _ in rows]), [label for _, label in rows])
        return [np.asarray(model.decision_function(embed(encoder, texts)), np.float32) for texts in asked]


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _without(policy: Policy, hidden: set[str]) -> Policy:
    return policy.model_copy(update={"labels": {n: label for n, label in policy.labels.items() if n not in hidden}})
