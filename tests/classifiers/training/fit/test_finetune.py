"""What tuning changes of an encoder, and what it leaves alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.errors import TrainingError
from classifiers.model.model import Floats
from classifiers.training.fit import finetune
from classifiers.training.fit.checkpoint import Checkpoint
from classifiers.training.fit.finetune import Tuned, tune
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
from classifiers.training.fit.tuning_set import TuningSet
from classifiers.training.fit.weights import Weights, find_weights
from classifiers.training.rows import Row

TEXTS = ["fry the onions", "roast the carrots", "he scored a goal", "they won the match"] * 4


@pytest.fixture
def weights(tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    # of so few dimensions, either may be the faster
    monkeypatch.setattr(finetune, "bf16_helps", lambda _: False)
    return find_weights(tiny_encoder, tmp_path, tmp_path)


def lesson_of(texts: Sequence[str], targets: Floats, held: NDArray[np.bool_]) -> TuningSet:
    rows = [Row(text=text, labels=(), group=text, source="data") for text in texts]
    return TuningSet(rows=rows, targets=targets, held=held)


def taught(
    encoder: TorchEncoder,
    plan: TuningPlan,
    say: Callable[[str], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> Tuned:
    """The encoder tuned on TEXTS, the last four of which are held out, on one thread with one seed."""
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]] * 4, np.float32)
    lesson = lesson_of(TEXTS, targets, np.arange(len(TEXTS)) >= 12)
    with torch_threads(1, 0):
        return tune(encoder, lesson, plan=plan, multi_label=False, seed=0, say=say, checkpoint=checkpoint)


def test_the_layers_that_are_kept_stay_as_they_were(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)
    encoder = TorchEncoder(weights, tokens=16)
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    tuned = taught(encoder, TuningPlan(rate=1e-3, epochs=1, batch=4, kept=1, beginning=6))
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
            lesson_of(texts, targets, np.arange(len(texts)) < 2),
            plan=TuningPlan(rate=1e-4, epochs=1, batch=4, beginning=8),
            multi_label=True,
            seed=0,
            say=lambda _: None,
        )
    assert len(tuned.history) == 2
    assert cut[8][1] in learned
    assert cut[8][0] not in learned


@pytest.mark.parametrize("best", [1, 2])
def test_what_was_cut_off_after_an_epoch_ends_as_if_it_had_not_been(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    """best: the epoch that is kept of the first two."""
    monkeypatch.setattr(finetune, "WORTH_S", 0.0)
    measures = iter([0.0, 0.5, 0.4 + best / 10, 0.1])
    monkeypatch.setattr(finetune, "measure_of", lambda *_, **__: next(measures))
    said: list[str] = []

    def run(checkpoint: Checkpoint, *, cut: bool = False) -> tuple[Tuned, TorchEncoder]:
        def say(line: str) -> None:
            said.append(line)
            if cut and line.startswith("epoch 3"):
                raise KeyboardInterrupt

        encoder = TorchEncoder(weights, tokens=16)
        return taught(
            encoder, TuningPlan(rate=1e-3, epochs=3, batch=4, kept=1), say=say, checkpoint=checkpoint
        ), encoder

    whole, once = run(Checkpoint(file=tmp_path / "whole" / "one", key="a"))
    measures = iter([0.0, 0.5, 0.4 + best / 10, 0.1, 0.1])
    kept = Checkpoint(file=tmp_path / "cut" / "one", key="a")
    with pytest.raises(KeyboardInterrupt):
        run(kept, cut=True)
    said.clear()
    tuned, again = run(kept)
    assert said[0] == f"goes on after epoch 2, which {kept.file} holds; delete it to begin anew"
    assert [epoch.loss for epoch in tuned.history] == [epoch.loss for epoch in whole.history]
    assert (tuned.best, tuned.history) == (best, whole.history)
    assert np.array_equal(tuned.weights, whole.weights)
    before = once.module.state_dict()
    assert all(value.equal(before[name]) for name, value in again.module.state_dict().items())


def test_the_lowest_layers_of_an_encoder_serve_alone(weights: Weights) -> None:
    whole, half = (TorchEncoder(weights, tokens=16, layers=layers) for layers in (None, 1))
    assert (len(whole.layers), len(half.layers)) == (2, 1)
    lowest = dict(whole.module.state_dict())
    assert all(value.equal(lowest[name]) for name, value in half.module.state_dict().items())
    with pytest.raises(TrainingError, match="has 2 layers, not 3"):
        TorchEncoder(weights, tokens=16, layers=3)


@pytest.mark.parametrize(
    ("number", "best", "over"), [(2, 0, False), (4, 1, False), (5, 0, True), (5, 3, True), (5, 4, False)]
)
def test_tuning_is_not_given_up_in_its_first_half(number: int, best: int, over: bool) -> None:
    assert finetune.is_over(number, best, TuningPlan(rate=1e-4, epochs=6)) is over
