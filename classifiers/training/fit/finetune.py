"""Fine-tuning: encoder and head together on a policy's rows, the best checkpoint on held-out groups kept.

The head is fitted on the frozen encoder first and begins there. Where several labels may hold, a row that is longer
than a window counts by the one that speaks loudest for any label, chosen anew before each epoch: what is harmful in it
need not stand at its beginning (Andrews et al. 2002, "Support Vector Machines for Multiple-Instance Learning"). Word
embeddings stay as they are: they are most of a small encoder's numbers, and rows never hold more than a fraction of its
words.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Beside
from classifiers.heads.linear import any_logit
from classifiers.model import Floats
from classifiers.training.fit import heads_first
from classifiers.training.fit.batches import shuffled
from classifiers.training.fit.checkpoint import WORTH_S, Checkpoint
from classifiers.training.fit.epochs import Epoch, Epochs, is_over
from classifiers.training.fit.steps import Steps
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, precision
from classifiers.training.statistics import average_precision
from classifiers.training.windows import loudest

SCALE = 20.0
"""Vectors have length 1: the head reads them this much longer, so that its numbers and the encoder's move alike."""

_FEW, _PLENTY = 2_000, 6_000
_MOST_WINDOWS = 16
"""Of a row; what lies behind is not learned from."""
_CHUNK = 500  # rows whose windows are read together

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to tune. rate: of learning; epochs: at most so many, fewer where held-out text gains nothing for `patience`
    epochs of the second half; smoothing: of the targets; kept: how many layers, from the lowest, stay as they are;
    beginning: rows that the head is fitted on before.
    """

    rate: float
    epochs: int
    patience: int = 2
    batch: int = 32
    smoothing: float = 0.1
    kept: int = 0
    beginning: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """weights: (classes, dimensions), bias: (classes,): the tuned head on unit vectors; best: the epoch kept, from 1;
    0 is before any. history[0] is the frozen encoder with its head; its loss is not known (0)."""

    weights: Floats
    bias: Floats
    history: tuple[Epoch, ...]
    best: int
    bf16: bool
    multi_label: bool


def plan_for(dimensions: int, rows: int, *, multi_label: bool, layers: int | None = None) -> Plan:
    """What worked: small encoders learn at 2-3e-4, base-size ones at a tenth of that and in fewer epochs. Of plenty of
    rows with one label each three epochs are enough, for the frozen encoder judges beside the tuned one.

    layers: how many are left of an encoder whose upper ones were cut off; these have more to learn.
    """
    enough = rows >= _PLENTY
    # smoothed targets make what is certain less certain than it is (Xia et al. 2024); few rows need them
    smoothing = 0.02 if multi_label else 0.0 if enough else 0.1
    if dimensions > 512:
        # the lower layers learn little from a policy's rows and take a third of the time
        whole = layers is None and multi_label
        rate, epochs, kept = (4e-5, 2, 6) if whole else (6e-5, 3, (layers or 12) // 3)
        return Plan(rate=rate, epochs=epochs, smoothing=smoothing, kept=kept, beginning=1_500)
    epochs = 12 if rows < _FEW else 8 if not enough else 6 if multi_label else 3
    return Plan(rate=2.5e-4, epochs=epochs, smoothing=smoothing)


def tune(
    encoder: TorchEncoder,
    texts: Sequence[str],
    targets: Floats,
    weights: Floats,
    *,
    held: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    plan: Plan,
    multi_label: bool,
    seed: int,
    say: Say,
    beside: Beside | None = None,
    checkpoint: Checkpoint | None = None,
) -> Tuned:
    """Train `encoder` in place on the rows that are not `held`; the `measured` ones of those choose the epoch kept.

    targets: (rows, classes) 0..1 (soft ones allowed), rows of sum 1 for single-label; weights: (rows,);
    say: told a line for each epoch; beside: the system prompts that the texts are read beside; checkpoint: where epochs
    that take long are kept, and where to go on.
    """
    import torch

    windows = encoder.windows(texts, beside, _MOST_WINDOWS) if multi_label else []
    rows = [cut[0] for cut in windows] if multi_label else encoder.tokenize(texts, beside)
    longer = np.array([len(cut) > 1 for cut in windows]) if multi_label else np.zeros(len(rows), bool)
    fit, test = np.flatnonzero(~held), np.flatnonzero(held & measured)
    chance = random.Random(seed)  # noqa: S311 - no secret
    head = torch.nn.Linear(encoder.dimensions, targets.shape[1])
    total = plan.epochs * -(-len(fit) // plan.batch)
    steps = Steps(encoder, head, rate=plan.rate, total=total, kept=plan.kept)
    epochs = Epochs(encoder, head, steps, chance, bf16=bf16_helps(encoder.dimensions))
    measure = _average_precision if multi_label else _accuracy

    def choose(of: NDArray[np.intp]) -> None:
        _choose(rows, windows, of[longer[of]], lambda cut: encoder.vectors(cut, bf16=epochs.bf16), _head(head))

    def held_out() -> float | None:
        choose(test)
        return _held_out(
            measure, encoder.vectors([rows[index] for index in test], bf16=epochs.bf16), _head(head), targets[test]
        )

    standing = checkpoint.read() if checkpoint else None
    if checkpoint and standing:
        epochs.go_on(standing)
        del standing  # it takes as much room as the encoder and the optimizer
        say(f"goes on after epoch {epochs.number}, which {checkpoint.file} holds; delete it to begin anew")
    else:
        first = fit if len(fit) <= plan.beginning else np.sort(chance.sample(fit.tolist(), plan.beginning))
        say("reading rows with the frozen encoder")
        frozen = encoder.vectors([rows[index] for index in first], bf16=epochs.bf16)
        begin(head, heads_first.fit(frozen, targets[first], weights[first], multi_label=multi_label))
        epochs.ended(Epoch(loss=0.0, measure=held_out()))
        say(f"epoch 0 of {plan.epochs}: the frozen encoder{_shown(epochs.history[0], multi_label=multi_label)}")
    while not is_over(epochs.number, epochs.best, plan):
        began, loss = time.monotonic(), 0.0
        choose(fit)
        encoder.module.train()
        for layer in encoder.layers[: plan.kept]:
            layer.eval()
        for batch in shuffled([len(rows[index]) for index in fit], plan.batch, chance):
            chosen = fit[batch]
            with precision(bf16=epochs.bf16):
                vectors = encoder.forward([rows[index] for index in chosen])
            each = _loss(head(SCALE * vectors), torch.from_numpy(targets[chosen]), plan, multi_label=multi_label)
            share = torch.from_numpy(weights[chosen])
            step_loss = (each * share).sum() / share.sum().clamp(min=1e-6)
            steps.take(step_loss)
            loss += float(step_loss.detach()) * len(chosen)
        epochs.ended(Epoch(loss=loss / max(len(fit), 1), measure=held_out()))
        shown = _shown(epochs.history[-1], multi_label=multi_label, loss=True)
        say(f"epoch {epochs.number} of {plan.epochs}: {shown}")
        if checkpoint and time.monotonic() - began >= WORTH_S:
            _keep(checkpoint, epochs, say)
    epochs.settle()
    encoder.module.eval()
    matrix, bias = _head(head)
    return Tuned(
        weights=matrix,
        bias=bias,
        history=tuple(epochs.history),
        best=epochs.best,
        bf16=epochs.bf16,
        multi_label=multi_label,
    )


def _keep(checkpoint: Checkpoint, epochs: Epochs, say: Say) -> None:
    """A full disk ends no tuning."""
    try:
        checkpoint.write(epochs.standing())
    except OSError as error:
        say(f"epoch {epochs.number} is not kept: {error}")


def _choose(
    rows: list[list[int]],
    windows: Sequence[Sequence[list[int]]],
    longer: NDArray[np.intp],
    encode: Callable[[list[list[int]]], Floats],
    head: tuple[Floats, Floats],
) -> None:
    """Put the window that speaks loudest in the place of each row that has several. longer: which rows these are."""
    for start in range(0, len(longer), _CHUNK):
        some = longer[start : start + _CHUNK].tolist()
        logits = encode([window for index in some for window in windows[index]]) @ head[0].T + head[1]
        starts = np.cumsum([0, *(len(windows[index]) for index in some[:-1])])
        for index, place in zip(some, (loudest(any_logit(logits), starts) - starts).tolist(), strict=True):
            rows[index] = windows[index][place]


def _loss(logits: Any, targets: Any, plan: Plan, *, multi_label: bool) -> Any:
    """(rows,) Of several labels, whether any holds at all is learned beside which: text that is plainly harmful and
    fits no label well must not fall between them."""
    import torch

    if multi_label:
        both = torch.cat([logits, torch.logsumexp(logits, dim=1, keepdim=True)], dim=1)
        wanted = torch.cat([targets, targets.amax(dim=1, keepdim=True)], dim=1)
        smooth = wanted * (1 - plan.smoothing) + plan.smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(both, smooth, reduction="none").sum(1)
    smooth = targets * (1 - plan.smoothing) + plan.smoothing / targets.shape[1]
    return -(smooth * torch.log_softmax(logits, dim=-1)).sum(1)


def begin(head: Any, fitted: tuple[Floats, Floats]) -> None:
    """Set a head on vectors as long as SCALE to what was fitted on vectors of length 1."""
    import torch

    weights, bias = (torch.from_numpy(part) for part in fitted)
    with torch.no_grad():
        head.weight.copy_(weights / SCALE)
        head.bias.copy_(bias)


def _head(head: Any) -> tuple[Floats, Floats]:
    """The head on vectors of length 1."""
    return SCALE * head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()


def _held_out(
    measure: Callable[[Floats, Floats], float], vectors: Floats, head: tuple[Floats, Floats], targets: Floats
) -> float | None:
    return measure(vectors @ head[0].T + head[1], targets) if len(vectors) else None


def _accuracy(logits: Floats, targets: Floats) -> float:
    return float((logits.argmax(axis=1) == targets.argmax(axis=1)).mean())


def _average_precision(logits: Floats, targets: Floats) -> float:
    """Over the labels that held-out rows have, and over whether any holds."""
    holds = targets >= 0.5
    columns = [(logits[:, index], holds[:, index]) for index in range(holds.shape[1])]
    columns.append((logits.max(axis=1), np.asarray(holds.any(axis=1))))
    found = [average_precision(scores, truth) or 0.0 for scores, truth in columns if truth.any()]
    return float(np.mean(found)) if found else 0.0


def _shown(epoch: Epoch, *, multi_label: bool, loss: bool = False) -> str:
    parts: Iterator[str] = iter(())
    if loss:
        parts = iter([f"loss {epoch.loss:.3f}"])
    lines = list(parts)
    if epoch.measure is not None:
        name = "held-out average precision" if multi_label else "held-out accuracy"
        lines.append(f"{name} {epoch.measure:.1%}")
    return ("" if loss else ", " if lines else "") + ", ".join(lines)
