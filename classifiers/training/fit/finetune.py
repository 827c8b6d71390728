"""Fine-tuning: encoder and head together on a policy's rows, the best epoch on held-out groups kept.

The head is fitted on the frozen encoder first and begins there. Where several labels may hold, a row that is longer
than a window counts by the one that speaks loudest for any label, chosen anew before each epoch: what is harmful in it
need not stand at its beginning (Andrews et al. 2002, "Support Vector Machines for Multiple-Instance Learning"). Word
embeddings stay as they are: they are most of a small encoder's numbers, and rows never hold more than a fraction of its
words.

`Steps` also tunes the encoders of slots. Importing this module imports torch.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import Floats
from classifiers.runtime.heads import any_logit
from classifiers.training.fit import tuning_set as tuning_sets
from classifiers.training.fit.fitted import TunedHead, TuningPlan
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, precision, shuffled
from classifiers.training.fit.tuning_set import TuningSet, prompts_of
from classifiers.training.windows import loudest

_WARM_UP, _CLIP, _DECAY, _HEAD_RATE = 0.1, 1.0, 0.01, 1e-3
_BATCH, _PATIENCE = 32, 2
_FEW, _PLENTY, _MANY = 2_000, 6_000, 25_000
_MOST_WINDOWS = 16
"""Of a row; what lies behind is not learned from."""
_CHUNK = 500  # rows whose windows are read together
SCALE = 20.0
"""Vectors have length 1: the head reads them this much longer, so that its numbers and the encoder's move alike."""

Say = Callable[[str], None]
Advance = Callable[[int, int], None]


class Steps:
    """Steps of tuning an encoder and its heads: AdamW, warmed up and then slowed down to nothing by the last one. The
    encoder's word embeddings stay as they are. parameters: all that learn; taken, total: steps."""

    def __init__(self, encoder: TorchEncoder, heads: Any, *, rate: float, total: int, kept: int = 0) -> None:
        """rate: the encoder's highest; total: of steps; kept: how many layers, from the lowest, stay as they are."""
        encoder.module.get_input_embeddings().weight.requires_grad_(False)
        for part in encoder.lowest(kept) if kept else ():
            part.requires_grad_(False)
        body = [part for part in encoder.module.parameters() if part.requires_grad]
        self._encoder, self._kept = encoder, kept
        self.total = max(1, total)
        self._warm = max(1, int(_WARM_UP * self.total))
        self.parameters = [*body, *heads.parameters()]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [part for part in body if part.ndim > 1], "lr": rate, "weight_decay": _DECAY},
                {"params": [part for part in body if part.ndim < 2], "lr": rate, "weight_decay": 0.0},
                {"params": list(heads.parameters()), "lr": _HEAD_RATE, "weight_decay": 0.0},
            ],
            fused=True,
        )
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self.taken = 0

    def epoch(
        self,
        lengths: Sequence[int],
        size: int,
        chance: random.Random,
        loss: Callable[[NDArray[np.intp]], Any],
        after: Callable[[], None] = lambda: None,
    ) -> float:
        """A step down the loss of each batch; the mean loss of a row. lengths: tokens of each row; size: rows of a
        batch; chance: by which rows are put in order. loss: of the rows of a batch, by index, a tensor of one number;
        after: called after each step."""
        self._encoder.module.train()
        for layer in self._encoder.layers[: self._kept]:
            layer.eval()
        total = 0.0
        for batch in shuffled(lengths, size, chance):
            value = loss(batch)
            self._take(value)
            total += float(value.detach()) * len(batch)
            after()
        return total / max(len(lengths), 1)

    def _take(self, loss: Any) -> None:
        slower = (self.total - self.taken) / max(1, self.total - self._warm)
        share = min((self.taken + 1) / self._warm, max(0.0, slower))
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, _CLIP)
        self._optimizer.step()
        self.taken += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """loss: mean over the epoch's rows; measure: accuracy (single-label) or mean average precision (multi-label) on
    held-out rows, None without any."""

    loss: float
    measure: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning gave besides the encoder. head: as it was tuned, on unit vectors. history: [0] is the frozen encoder
    with its head; its loss is not known (0). best: the epoch kept, from 1; 0 is before any."""

    head: TunedHead
    history: tuple[Epoch, ...]
    best: int
    bf16: bool


def plan_for(dimensions: int, rows: int, *, multi_label: bool, layers: int | None = None) -> TuningPlan:
    """What worked: small encoders learn at 2-3e-4, base-size ones at a tenth of that and in fewer epochs. Of plenty of
    rows with one label each three epochs are enough, for the frozen encoder judges beside the tuned one. layers: how
    many are left of an encoder whose upper ones were cut off; these have more to learn."""
    enough = rows >= _PLENTY
    # smoothed targets make what is certain less certain than it is (Xia et al. 2024); few rows need them
    smoothing = 0.02 if multi_label else 0.0 if enough else 0.1
    if dimensions > 512:
        # the lower layers learn little from a policy's rows and take a third of the time
        whole = layers is None and multi_label
        rate, epochs, kept = (4e-5, 1 if rows >= _MANY else 2, 6) if whole else (6e-5, 3, (layers or 12) // 3)
        return TuningPlan(rate=rate, epochs=epochs, smoothing=smoothing, kept=kept, beginning=1_500)
    epochs = 12 if rows < _FEW else 8 if not enough else 6 if multi_label else 3
    return TuningPlan(rate=2.5e-4, epochs=epochs, smoothing=smoothing)


def is_better(measure: float | None, best: float | None) -> bool:
    """Whether an epoch is to be kept; where nothing is held out, the latest is."""
    return measure is None or best is None or measure > best


def is_over(number: int, best: int, epochs: int) -> bool:
    """Whether to stop after epoch `number` of `epochs`. In the first half the rate is too high for what is learned to
    show: on 10,000 rows the frozen encoder's head, which is fitted first, is still ahead after two epochs."""
    return number >= epochs or number - max(best, epochs // 2) >= _PATIENCE


def tune(
    encoder: TorchEncoder,
    tuning_set: TuningSet,
    *,
    plan: TuningPlan,
    seed: int,
    say: Say,
    advance: Advance | None = None,
) -> Tuned:
    """Train `encoder` in place on a tuning set's rows that are not held out; its `measured` ones choose the epoch kept.
    say: given a line for each epoch; advance: called with the steps taken and their number."""
    name = "average precision" if tuning_set.multi_label else "accuracy"

    def show(what: str) -> None:
        measure = history[-1].measure
        shown = "" if measure is None else f", held-out {name} {measure:.1%}"
        say(f"epoch {len(history) - 1} of {plan.epochs}: {what}{shown}")

    say("reading rows with the frozen encoder")
    tuning = _HeadTuning(encoder, tuning_set, plan, seed)
    history, best, kept = [Epoch(loss=0.0, measure=tuning.measure())], 0, tuning.state()
    show("the frozen encoder")
    while not is_over(len(history) - 1, best, plan.epochs):
        loss = tuning.run(advance or (lambda _done, _total: None))
        history.append(Epoch(loss=loss, measure=tuning.measure()))
        show(f"loss {loss:.3f}")
        if is_better(history[-1].measure, history[best].measure):
            best, kept = len(history) - 1, tuning.state()
    weights, bias = tuning.settle(kept)
    head = TunedHead(
        weights=weights,
        bias=bias,
        unseen=tuning_set.held,
        tokens=encoder.tokens,
        system_tokens=tuning_set.system_tokens,
        multi_label=tuning_set.multi_label,
    )
    return Tuned(head=head, history=tuple(history), best=best, bf16=tuning.bf16)


class _HeadTuning:
    """An encoder and a head on its vectors, being tuned; the head is fitted on the frozen encoder first."""

    def __init__(self, encoder: TorchEncoder, tuning_set: TuningSet, plan: TuningPlan, seed: int) -> None:
        texts, systems = [row.text for row in tuning_set.rows], prompts_of(tuning_set.rows, tuning_set.system_tokens)
        several = tuning_set.multi_label
        self._encoder, self._set, self._smoothing = encoder, tuning_set, plan.smoothing
        self._windows = encoder.windows(texts, systems, _MOST_WINDOWS) if several else []
        # of each row the window that it is read by
        self._rows = [cut[0] for cut in self._windows] if several else encoder.tokenize(texts, systems)
        self._long = np.array([len(cut) > 1 for cut in self._windows] or [False] * len(texts))
        self._weights = np.array([row.weight for row in tuning_set.rows], np.float32)
        self._fit, self._test = np.flatnonzero(~tuning_set.held), np.flatnonzero(tuning_set.held & tuning_set.measured)
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._head = torch.nn.Linear(encoder.dimensions, tuning_set.targets.shape[1])
        total = plan.epochs * -(-len(self._fit) // _BATCH)
        self._steps = Steps(encoder, self._head, rate=plan.rate, total=total, kept=plan.kept)
        self.bf16 = bf16_helps(encoder.dimensions)
        fit, most = self._fit, plan.beginning
        first = fit if len(fit) <= most else np.sort(self._chance.sample(fit.tolist(), most))
        vectors = encoder.vectors([self._rows[index] for index in first], bf16=self.bf16)
        fitted = tuning_sets.fit(vectors, tuning_set.targets[first], self._weights[first], multi_label=several)
        set_head(self._head, fitted)

    def run(self, advance: Advance) -> float:
        """One epoch; the mean loss of a row."""
        self._choose(self._fit)
        lengths, steps = [len(self._rows[index]) for index in self._fit], self._steps
        return steps.epoch(lengths, _BATCH, self._chance, self._loss, lambda: advance(steps.taken, steps.total))

    def measure(self) -> float | None:
        """On held-out rows; None without any."""
        self._choose(self._test)
        if not len(self._test):
            return None
        logits = self._logits([self._rows[index] for index in self._test])
        return measure_of(logits, self._set.targets[self._test], multi_label=self._set.multi_label)

    def state(self) -> list[Any]:
        return [part.detach().clone() for part in self._steps.parameters]

    def settle(self, state: Sequence[Any]) -> tuple[Floats, Floats]:
        """Take weights of an epoch; the head's on vectors of length 1."""
        with torch.no_grad():
            for part, kept in zip(self._steps.parameters, state, strict=True):
                part.copy_(kept)
        self._encoder.module.eval()
        return head_of(self._head, SCALE)

    def _loss(self, batch: NDArray[np.intp]) -> Any:
        chosen = self._fit[batch]
        with precision(bf16=self.bf16):
            vectors = self._encoder.forward([self._rows[index] for index in chosen])
        logits, targets = self._head(SCALE * vectors), torch.from_numpy(self._set.targets[chosen])
        each = _losses(logits, targets, self._smoothing, multi_label=self._set.multi_label)
        weights = torch.from_numpy(self._weights[chosen])
        return (each * weights).sum() / weights.sum().clamp(min=1e-6)

    def _choose(self, places: NDArray[np.intp]) -> None:
        """Put the window that speaks loudest in the place of each of these rows that has several."""
        long = places[self._long[places]]
        for start in range(0, len(long), _CHUNK):
            some = long[start : start + _CHUNK].tolist()
            logits = self._logits([window for index in some for window in self._windows[index]])
            starts = np.cumsum([0, *(len(self._windows[index]) for index in some[:-1])])
            for index, place in zip(some, (loudest(any_logit(logits), starts) - starts).tolist(), strict=True):
                self._rows[index] = self._windows[index][place]

    def _logits(self, windows: Sequence[list[int]]) -> Floats:
        weights, bias = head_of(self._head, SCALE)
        return self._encoder.vectors(windows, bf16=self.bf16) @ weights.T + bias


def _losses(logits: Any, targets: Any, smoothing: float, *, multi_label: bool) -> Any:
    """(rows,) Of several labels, whether any holds at all is learned with which: text that is plainly harmful and
    fits no label well must not fall between them."""
    if multi_label:
        both = torch.cat([logits, torch.logsumexp(logits, dim=1, keepdim=True)], dim=1)
        wanted = torch.cat([targets, targets.amax(dim=1, keepdim=True)], dim=1)
        smooth = wanted * (1 - smoothing) + smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(both, smooth, reduction="none").sum(1)
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return -(smooth * torch.log_softmax(logits, dim=-1)).sum(1)


def set_head(head: Any, fitted: tuple[Floats, Floats]) -> None:
    """Set a head on vectors as long as SCALE to what was fitted on vectors of length 1."""
    weights, bias = (torch.from_numpy(part) for part in fitted)
    with torch.no_grad():
        head.weight.copy_(weights / SCALE)
        head.bias.copy_(bias)


def head_of(head: Any, scale: float) -> tuple[Floats, Floats]:
    """The weights and bias of a torch head. scale: of the vectors that it reads, in lengths of those it is used on."""
    return scale * head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()


def measure_of(logits: Floats, targets: Floats, *, multi_label: bool) -> float:
    """Accuracy; of several labels the mean average precision over those that held-out rows have, and over whether any
    holds."""
    if not multi_label:
        return float((logits.argmax(axis=1) == targets.argmax(axis=1)).mean())
    holds = targets >= 0.5
    columns = [(logits[:, index], holds[:, index]) for index in range(holds.shape[1])]
    columns.append((logits.max(axis=1), np.asarray(holds.any(axis=1))))
    precisions = [average_precision(scores, truth) or 0.0 for scores, truth in columns if truth.any()]
    return float(np.mean(precisions)) if precisions else 0.0
