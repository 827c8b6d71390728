"""What tuning changes of an encoder, and what it leaves alone."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.model.model import Floats
from classifiers.training.fit import finetune
from classifiers.training.fit.finetune import Tuned, tune
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.fit.torch_encoder import TorchEncoder, shuffled, torch_threads
from classifiers.training.fit.tuning_set import TuningSet
from classifiers.training.fit.weights import Weights, find_weights
from classifiers.training.rows import Row

TEXTS = ["fry the onions", "roast the carrots", "he scored a goal", "they won the match"] * 4


@pytest.fixture
def weights(tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    # of so few dimensions, either may be the faster
    monkeypatch.setattr(finetune, "bf16_helps", lambda _: False)
    monkeypatch.setattr(finetune, "_BATCH", 4)
    return find_weights(tiny_encoder, tmp_path, tmp_path)


def tuning_set_of(texts: Sequence[str], targets: Floats, held: NDArray[np.bool_]) -> TuningSet:
    rows = [Row(text=text, labels=(), group=text, source="data") for text in texts]
    return TuningSet(rows=rows, targets=targets, held=held, multi_label=targets.shape[1] == 1)


def taught(encoder: TorchEncoder, plan: TuningPlan) -> Tuned:
    """The encoder tuned on TEXTS, the last four of which are held out, on one thread with one seed."""
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]] * 4, np.float32)
    tuning_set = tuning_set_of(TEXTS, targets, np.arange(len(TEXTS)) >= 12)
    with torch_threads(1, 0):
        return tune(encoder, tuning_set, plan=plan, seed=0, say=lambda _: None)


def test_the_layers_that_are_kept_stay_as_they_were(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)
    assert len(TorchEncoder(weights, tokens=16, layers=1).layers) == 1
    encoder = TorchEncoder(weights, tokens=16)
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    tuned = taught(encoder, TuningPlan(rate=1e-3, epochs=1, kept=1, beginning=6))
    assert len(tuned.history) == 2
    changed = {name for name, value in encoder.module.state_dict().items() if not value.equal(before[name])}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_a_long_row_teaches_by_the_window_that_speaks_loudest(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TorchEncoder(weights, tokens=16)
    stew = "fry the onions and roast the carrots, then let them rest "
    texts = [*TEXTS[:8], stew + "he scored a goal, they won the match", stew + "and fry the onions once more"]
    cut = encoder.windows(texts, None, 16)
    assert [window[0] for window in cut] == encoder.tokenize(texts)
    assert [len(window) for window in cut] == [1] * 8 + [2, 2]
    learned: list[list[int]] = []
    forward = encoder.forward

    def watched(batch: Any) -> Any:
        learned.extend(batch if encoder.module.training else [])
        return forward(batch)

    monkeypatch.setattr(encoder, "forward", watched)
    targets = np.array([[0], [0], [1], [1]] * 2 + [[1], [0]], np.float32)
    with torch_threads(1, 0):
        tuned = tune(
            encoder,
            tuning_set_of(texts, targets, np.arange(len(texts)) < 2),
            plan=TuningPlan(rate=1e-4, epochs=1, beginning=8),
            seed=0,
            say=lambda _: None,
        )
    assert len(tuned.history) == 2
    assert cut[8][1] in learned
    assert cut[8][0] not in learned


def test_each_row_is_in_one_batch_beside_rows_of_like_length() -> None:
    chance = random.Random(3)
    lengths = [chance.randrange(3, 90) for _ in range(1_001)]
    batches = shuffled(lengths, 32, random.Random(0))
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert padded < 1.15 * sum(lengths)
    same, other = (shuffled(lengths, 32, random.Random(seed)) for seed in (0, 1))
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in same]
    assert [batch.tolist() for batch in batches] != [batch.tolist() for batch in other]


def test_tuning_is_not_given_up_in_its_first_half() -> None:
    cases = [(2, 0, False), (4, 1, False), (5, 0, True), (5, 3, True), (5, 4, False)]
    assert [(number, best, finetune.is_over(number, best, 6)) for number, best, _ in cases] == cases


def test_a_larger_encoder_is_tuned_more_gently_and_its_lower_layers_stay() -> None:
    small, large = (finetune.plan_for(dimensions, 500, multi_label=True) for dimensions in (384, 768))
    assert (large.rate < small.rate / 5, large.epochs < small.epochs) == (True, True)
    assert (small.kept, large.kept, finetune.plan_for(768, 500, multi_label=True, layers=6).kept) == (0, 6, 2)
