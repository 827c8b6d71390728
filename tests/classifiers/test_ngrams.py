from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.encoder.ngrams import FAR, NGrams, keys_of, write
from classifiers.encoder.session import Encoder, embed
from classifiers.training.fit import ngrams

TEXTS = ["where is my card", "my card is lost", "the rate is good", "is the rate my rate"]
CLASSES = np.array([0, 1, 2, 2], np.int32)


ALIKE: Any = {"base": 40_000, "seed": 0, "private": np.zeros(4, bool)}


def windows(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    return [encoder.surround(encoder.tokenize(text)) for text in texts]


@pytest.fixture
def fitted(encoder: Encoder) -> NGrams:
    return ngrams.fit(windows(encoder, TEXTS), CLASSES, np.ones(4, np.float32), count=4, **ALIKE)


def test_keys_are_tokens_and_pairs_that_cannot_be_taken_for_one_another() -> None:
    assert keys_of([3, 0, 7], 10).tolist() == [3, 0, 7, 40, 17]
    assert len(set(keys_of(range(10), 10).tolist())) == 19


def test_the_graph_scores_as_the_fit_does(fitted: NGrams, encoder: Encoder, prepared_dir: Path, tmp_path: Path) -> None:
    tokenizer = next(prepared_dir.glob("encoders/*/tokenizer.json"))
    write(fitted, tmp_path, tokenizer=tokenizer, name="own:ngrams", max_tokens=128)
    table = Encoder.open(tmp_path)
    assert table.tokenizer_sha256 == encoder.tokenizer_sha256
    texts = [*TEXTS, "my rate is lost", "where", "my zebra is lost"]
    scores = ngrams.ngram_scores(fitted, windows(encoder, texts))
    vectors = embed(table, texts)
    np.testing.assert_allclose(vectors[:, :4] / vectors[:, 4:] * FAR, scores, atol=0.03)
    assert scores[:4].argmax(axis=1).tolist() == CLASSES.tolist()
    # the fourth class has no rows
    assert (scores[:, 3] == scores.min(axis=1)).all()


def test_the_rarest_pairs_give_way_where_there_is_no_room(
    fitted: NGrams, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = fitted.keys[fitted.keys < fitted.base]
    monkeypatch.setattr(ngrams, "MOST_CELLS", 4 * (len(tokens) + 2))
    fewer = ngrams.fit(windows(encoder, TEXTS), CLASSES, np.ones(4, np.float32), count=4, **ALIKE)
    assert fewer.keys[: len(tokens)].tolist() == tokens.tolist()
    assert len(fewer.keys) == len(tokens) + 2
    # "the rate" stands in two texts
    the_rate = keys_of(encoder.tokenize("the rate"), fitted.base)[-1]
    assert the_rate in fewer.keys


def test_of_private_texts_it_holds_what_three_texts_share_or_another_holds_as_well() -> None:
    shared, repeated, beside_an_open_one = [1, 2, 3], [4, 5, 4, 5, 4, 5], [6, 7]
    every = [[*shared, *repeated], [*shared, *repeated], [8, *shared], beside_an_open_one, beside_an_open_one]
    private = np.array([True, True, True, True, False])
    fitted = ngrams.fit(
        every, np.array([0, 1, 0, 1, 1], np.int32), np.ones(5, np.float32), count=2, base=10, seed=0, private=private
    )
    assert fitted.keys.tolist() == sorted([*keys_of(shared, 10), *keys_of(beside_an_open_one, 10)])


def test_an_open_text_is_held_whole_whatever_stands_beside_it(fitted: NGrams, encoder: Encoder) -> None:
    some = ngrams.fit(
        windows(encoder, [*TEXTS, "my zebra is lost"]),
        np.append(CLASSES, 3).astype(np.int32),
        np.ones(5, np.float32),
        count=4,
        **ALIKE | {"private": np.arange(5) == 4},
    )
    assert some.keys.tolist() == fitted.keys.tolist()
