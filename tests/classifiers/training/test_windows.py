import numpy as np
import pytest

from classifiers.encoder.session import Encoder, embed
from classifiers.model import Windowing
from classifiers.training import crossfit
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, windows_of


def test_the_highest_score_of_a_rows_windows_counts() -> None:
    windows = Windows(vectors=np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32), starts=np.array([0, 1, 3]))
    weights, bias = np.eye(2, dtype=np.float32), np.array([0, 10], np.float32)
    assert windows.highest(np.array([1, 2]), weights, bias) == pytest.approx(np.array([[0.6, 11], [-1, 10]]))
    assert windows.highest(np.array([0]), weights, bias).tolist() == [[1, 10]]


def test_rows_are_held_out_as_they_will_be_read() -> None:
    chance = np.random.default_rng(0)
    vectors = chance.normal(0, 0.1, (20, 2)).astype(np.float32)
    vectors[:10, 0] += 1
    vectors[10:, 1] += 1
    rows = [
        Row(text=str(index), labels=("a",) if index < 10 else (), group=str(index), source="data")
        for index in range(20)
    ]
    holds = np.arange(20)[:, None] < 10
    # the last row is harmless as a whole, and one of its windows is not
    windows = Windows(vectors=np.concatenate([vectors, vectors[:1]]), starts=np.arange(20))
    options = {"weights": np.ones(20, np.float32), "strength": 3.0, "seed": 0, "advance": lambda *_: None}
    whole, cut = (crossfit.any_of(rows, vectors, holds, **options, windows=one) for one in (None, windows))
    assert cut.logits[:19] == pytest.approx(whole.logits[:19])
    assert whole.logits[19] < 0 < cut.logits[19]


def test_a_short_text_keeps_its_vector_and_a_long_one_has_several(encoder: Encoder) -> None:
    texts = ["where is my parcel", "where is my parcel " * 20, "hi"]
    vectors = embed(encoder, texts)
    windows = windows_of(encoder, texts, vectors, Windowing(tokens=32, overlap=8))
    assert windows.starts.tolist() == [0, 1, len(windows.vectors) - 1]
    assert len(windows.vectors) > 4
    assert windows.vectors[[0, -1]] == pytest.approx(vectors[[0, 2]])
    assert windows_of(encoder, ["", texts[0]], vectors[:2], Windowing()).starts.tolist() == [0, 1]
