"""Plain recipes on the same rows: tf-idf, nearest centroid, frozen vectors with a logistic regression."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.encoder.session import Encoder, embed
from classifiers.policy import Policy
from classifiers.training.write.speech import name_words, positive

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A recipe's accuracy on the test rows and the seconds that fitting took, embedding included."""

    accuracy: float
    seconds: float


def described(policy: Policy, *, means: bool) -> list[tuple[str, str]]:
    """A policy as rows: each label's name, with its description behind it where `means`."""
    return [
        (f"{name_words(name)}: {positive(label.means)}" if means else name_words(name), name)
        for name, label in policy.labels.items()
    ]


def plain_rows(policy: Policy) -> list[tuple[str, str]]:
    """What a plain recipe makes of a policy: names, descriptions and examples, a row each."""
    rows: list[tuple[str, str]] = []
    for name, label in policy.labels.items():
        rows += [(name_words(name), name), (positive(label.means), name), *((text, name) for text in label.examples)]
    return rows


def nearest_centroid(encoder: Encoder, rows: Rows, test: Rows) -> Peer:
    """The class whose mean vector is nearest."""

    def fit() -> Callable[[], list[str]]:
        vectors = embed(encoder, [text for text, _ in rows])
        names = sorted({label for _, label in rows})
        labels = np.array([label for _, label in rows])
        centres = np.stack([vectors[labels == name].mean(axis=0) for name in names])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        return lambda: [names[index] for index in (embed(encoder, [t for t, _ in test]) @ centres.T).argmax(axis=1)]

    return _timed(fit, test)


def frozen_logistic(encoder: Encoder, rows: Rows, test: Rows) -> Peer:
    """Frozen vectors and a logistic regression: the floor's recipe."""
    from sklearn.linear_model import LogisticRegression

    def fit() -> Callable[[], list[str]]:
        model = LogisticRegression(C=10.0, max_iter=1000)
        model.fit(embed(encoder, [text for text, _ in rows]), [label for _, label in rows])
        return lambda: list(model.predict(embed(encoder, [text for text, _ in test])))

    return _timed(fit, test)


def tfidf_logistic(rows: Rows, test: Rows) -> Peer:
    """Characters and words, tf-idf, logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    def fit() -> Callable[[], list[str]]:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        model = make_pipeline(make_union(words, characters), LogisticRegression(C=10.0, max_iter=300))
        model.fit([text for text, _ in rows], [label for _, label in rows])
        return lambda: list(model.predict([text for text, _ in test]))

    return _timed(fit, test)


def _timed(fit: Callable[[], Callable[[], list[str]]], test: Rows) -> Peer:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        began = time.monotonic()
        predict = fit()
        seconds = time.monotonic() - began
        said = predict()
    right = sum(guess == label for guess, (_, label) in zip(said, test, strict=True))
    return Peer(accuracy=right / len(test), seconds=seconds)
