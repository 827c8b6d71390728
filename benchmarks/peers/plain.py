"""Plain recipes: rows → a function that names a label for each text."""

from collections.abc import Callable, Sequence

import numpy as np

from classifiers.encoder.session import Encoder, embed
from classifiers.policy import Policy
from classifiers.training.write.builtin import name_words, positive

Rows = Sequence[tuple[str, str]]
"""(text, label) each."""
Predict = Callable[[Sequence[str]], list[str]]


def described(policy: Policy, *, means: bool) -> list[tuple[str, str]]:
    """A policy as rows: each label's name, with its description behind it where `means`."""
    return [
        (f"{name_words(name)}: {positive(label.means)}" if means else name_words(name), name)
        for name, label in policy.labels.items()
    ]


def policy_rows(policy: Policy) -> list[tuple[str, str]]:
    """What a plain recipe makes of a policy: names, descriptions and examples, a row each."""
    rows: list[tuple[str, str]] = []
    for name, label in policy.labels.items():
        rows += [(name_words(name), name), (positive(label.means), name), *((text, name) for text in label.examples)]
    return rows


def centroid(encoder: Encoder, rows: Rows) -> Predict:
    """The class whose mean vector is nearest."""
    vectors = embed(encoder, [text for text, _ in rows])
    names = sorted({label for _, label in rows})
    labels = np.array([label for _, label in rows])
    centres = np.stack([vectors[labels == name].mean(axis=0) for name in names])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return lambda texts: [names[index] for index in (embed(encoder, texts) @ centres.T).argmax(axis=1)]


def frozen(encoder: Encoder, rows: Rows) -> Predict:
    """Frozen vectors and a logistic regression: the floor's recipe."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=1000)
    model.fit(embed(encoder, [text for text, _ in rows]), [label for _, label in rows])
    return lambda texts: list(model.predict(embed(encoder, texts)))


def tfidf(rows: Rows) -> Predict:
    """Characters and words, tf-idf, logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    model = make_pipeline(make_union(words, characters), LogisticRegression(C=10.0, max_iter=300))
    model.fit([text for text, _ in rows], [label for _, label in rows])
    return lambda texts: list(model.predict(texts))
