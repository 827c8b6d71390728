from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.model.model import EncoderId, Head, Model
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.classifier import from_model
from classifiers.training.fit import linear
from classifiers.training.fit.fitted import Silent, TrainingSet, TunedHead
from classifiers.training.fit.heads import fit
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, highest, wholes


def test_the_highest_score_of_a_rows_windows_counts() -> None:
    windows = Windows(vectors=np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32), starts=np.array([0, 1, 3]))
    assert windows.owners.tolist() == [0, 1, 1, 2]
    some = windows.only(np.array([1, 2]))
    assert some.vectors == pytest.approx(windows.vectors[1:])
    assert some.starts.tolist() == [0, 2]
    assert highest(some.vectors, some.starts) == pytest.approx(np.array([[0.6, 1], [-1, 0]]))
    assert windows.only(np.array([0])).vectors.tolist() == [[1, 0]]


@pytest.mark.parametrize("with_own_head", [False, True])
def test_what_is_measured_of_a_row_of_several_windows_is_what_is_served(with_own_head: bool) -> None:
    chance = np.random.default_rng(1)
    windows = Windows(vectors=linear.unit(chance.normal(0, 1, (180, 8))), starts=np.arange(60) * 3)
    # of harms that lie in windows of their own, odds must not be added up
    labels = [tuple(f"harm {label}" for label in range(4) if index % 8 == label) for index in range(60)]
    rows = [Row(text=str(index), labels=held, group=str(index), source="data") for index, held in enumerate(labels)]
    vectors = linear.unit(windows.vectors[windows.starts] + windows.vectors[windows.starts + 1])
    unseen = np.arange(60) % 2 == 0
    described = {f"harm {label}": {"means": "x"} for label in range(4)}
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "safety", "about": "x", "labels": described})
    holds = np.array([[name in row.labels for name in policy.labels] for row in rows])
    weights, bias = linear.any_of(vectors[~unseen], holds[~unseen], np.ones(30, np.float32), 3.0)
    if with_own_head:
        weights, bias = linear.any_of(vectors, holds, np.ones(60, np.float32), 30.0)
    trained = fit(
        TrainingSet(
            policy=policy,
            rows=rows,
            vectors=vectors,
            encoder=cast("Any", SimpleNamespace(id=EncoderId(source="x", sha256="y"))),
            tuned=TunedHead(weights=weights, bias=bias, unseen=unseen, tokens=32) if with_own_head else None,
            unseen=unseen,
            windows=windows,
        ),
        cast("Any", SimpleNamespace(seed=0, progress=Silent())),
    )
    assert trained.settings["head"].startswith("tuned") is with_own_head
    assert trained.read == tuple(rows[index] for index in trained.rows)
    stage = replace(trained.model.last, head=Head(classes=tuple(policy.labels), weights=weights, bias=bias))
    assert stage.calibration.whole is not None
    for index, verdict in zip(trained.rows, trained.verdicts, strict=True):
        part = cascade.part(stage, windows.vectors[3 * index : 3 * index + 3], multi_label=True, among=np.full(3, 3))
        assert list(verdict.scores.values()) == pytest.approx(part.probabilities.max(axis=0), abs=1e-5)


def test_a_long_text_of_one_label_is_learned_as_it_is_judged(
    encoder: Encoder, make_model: Callable[..., Model]
) -> None:
    greeting = "I hope that you and all of your colleagues have had a pleasant week so far. "
    texts = ["has my card been sent", greeting * 12 + "my card was stolen", greeting * 9, "\n" * 500 + "which rate"]
    vectors = wholes(encoder, texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert vectors[0] == pytest.approx(embed(encoder, texts[:1])[0])
    assert not np.isclose(vectors[1], embed(encoder, texts[1:2])[0], atol=0.01).all()
    model = make_model()
    runtime = Runtime([encoder], {"bank": from_model(model)}, cache_windows=0)
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in texts])
    for verdict, vector in zip(verdicts, vectors, strict=True):
        part = cascade.part(model.last, vector[None], multi_label=False)
        assert list(verdict.scores.values()) == pytest.approx(part.probabilities[0], abs=1e-5)
