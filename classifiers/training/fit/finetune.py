"""Fine-tuning: encoder and head together on a policy's rows, the best epoch on held-out groups kept.

The head is fitted on the frozen encoder first and begins there. Where several labels may hold, a row that is longer
than a window counts by the one that speaks loudest for any label, chosen anew before each epoch: what is harmful in it
need not stand at its beginning (Andrews et al. 2002, "Support Vector Machines for Multiple-Instance Learning"). Word
embeddings stay as they are: they are most of a small encoder's numbers, and rows never hold more than a fraction of its
words.

The loop (`Steps`, `run_epoch`) also tunes the encoders of slots.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import Floats
from classifiers.runtime.heads import any_logit
from classifiers.training.fit import tuning_set
from classifiers.training.fit.checkpoint import WORTH_S, Checkpoint, TuningState
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, precision, shuffled
from classifiers.training.fit.tuning_set import TuningSet, prompts_of
from classifiers.training.windows import loudest

_WARM_UP = 0.1
_CLIP = 1.0
_DECAY = 0.01
_HEAD_RATE = 1e-3


class Steps:
    """Steps of tuning an encoder and its heads: AdamW, warmed up and then slowed down to nothing by the last one.

    The encoder's word embeddings stay as they are. parameters: all that learn; taken: how many steps there were.
    """

    def __init__(self, encoder: TorchEncoder, heads: Any, *, rate: float, total: int, kept: int = 0) -> None:
        """rate: the encoder's highest; total: how many steps there will be; kept: how many layers, from the lowest,
        stay as they are."""
        import torch

        encoder.module.get_input_embeddings().weight.requires_grad_(False)
        if kept:
            for part in encoder.lowest(kept):
                part.requires_grad_(False)
        body = [part for part in encoder.module.parameters() if part.requires_grad]
        self._total = max(1, total)
        self._warm = max(1, int(_WARM_UP * self._total))
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

    def take(self, loss: Any) -> None:
        """One step down the loss, a tensor of one number."""
        import torch

        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._share()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, _CLIP)
        self._optimizer.step()
        self.taken += 1

    def _share(self) -> float:
        """Of the full rate, for the next step."""
        slower = (self._total - self.taken) / max(1, self._total - self._warm)
        return min((self.taken + 1) / self._warm, max(0.0, slower))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is remembered of the steps taken, by name; it changes with the next one."""
        kept = self._optimizer.state_dict()["state"]
        return {f"{index}.{name}": part.numpy() for index, parts in kept.items() for name, part in parts.items()}

    def resume(self, arrays: Mapping[str, NDArray[Any]], taken: int) -> None:
        """As if these steps had been taken here. arrays: as `arrays` gave them; they are taken over."""
        import torch

        state: dict[int, dict[str, Any]] = {}
        for path, array in arrays.items():
            index, _, name = path.partition(".")
            state.setdefault(int(index), {})[name] = torch.from_numpy(array)
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self.taken = taken


def run_epoch(
    encoder: TorchEncoder,
    steps: Steps,
    lengths: Sequence[int],
    size: int,
    chance: random.Random,
    *,
    loss: Callable[[NDArray[np.intp]], Any],
    after: Callable[[], None] | None = None,
    kept: int = 0,
) -> float:
    """One epoch: a step down the loss of each batch; the mean loss of a row.

    lengths: tokens of each row; size: rows of a batch; chance: by which rows are put in order.
    loss: of the rows of a batch, by index, a tensor of one number; after: called after each step.
    kept: how many layers, from the lowest, stay as they are.
    """
    encoder.module.train()
    for layer in encoder.layers[:kept]:
        layer.eval()
    total = 0.0
    for batch in shuffled(lengths, size, chance):
        value = loss(batch)
        steps.take(value)
        total += float(value.detach()) * len(batch)
        if after is not None:
            after()
    return total / max(len(lengths), 1)


_NOW, _BEST, _STEPS, _CHANCE = "now", "best", "steps", "chance"
"""Whose arrays these are: the weights as they are, the best epoch's, the optimizer's, and torch's chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """loss: mean over the epoch's rows; measure: accuracy (single-label) or mean average precision (multi-label) on
    held-out rows, None without any."""

    loss: float
    measure: float | None


class Epochs:
    """The epochs of a tuning, and the weights of the best one. Number 0 is before any step.

    history: each epoch; best: the number of the one that is kept; steps: those taken.
    chance: by which rows are put in order; bf16: whether products are in bfloat16.
    """

    def __init__(self, encoder: TorchEncoder, head: Any, steps: Steps, chance: random.Random, *, bf16: bool) -> None:
        self.steps = steps
        self.bf16 = bf16
        self.history: list[Epoch] = []
        self.best = 0
        self._chance = chance
        whole = {"encoder": encoder.module, "head": head}
        self._learned = {
            f"{name}.{path}": part
            for name, module in whole.items()
            for path, part in module.named_parameters()
            if part.requires_grad
        }
        self._kept: dict[str, Any] = {}

    @property
    def number(self) -> int:
        """Of the latest."""
        return len(self.history) - 1

    def ended(self, epoch: Epoch) -> None:
        """Another one, whose weights are kept where they are the best."""
        self.history.append(epoch)
        if not self.number or is_better(epoch.measure, self.history[self.best].measure):
            self.best = self.number
            self._kept = {name: part.detach().clone() for name, part in self._learned.items()}

    def settle(self) -> None:
        """Take the best one's weights."""
        self._take(self._kept)

    def state(self) -> TuningState:
        """All that the next epoch depends on. The arrays change with the next step."""
        import torch

        now = {} if self.best == self.number else {name: part.detach() for name, part in self._learned.items()}
        arrays = {f"{_NOW}/{name}": part.numpy() for name, part in now.items()}
        arrays |= {f"{_BEST}/{name}": part.numpy() for name, part in self._kept.items()}
        arrays |= {f"{_STEPS}/{name}": array for name, array in self.steps.arrays().items()}
        facts = {
            "history": [asdict(epoch) for epoch in self.history],
            "best": self.best,
            "steps": self.steps.taken,
            "bf16": self.bf16,
            "chance": self._chance.getstate(),
        }
        return TuningState(arrays={**arrays, _CHANCE: torch.get_rng_state().numpy()}, facts=facts)

    def resume(self, state: TuningState) -> None:
        """Go on from a state that `state` gave. Its arrays are taken over."""
        import torch

        parts: dict[str, dict[str, Any]] = {_NOW: {}, _BEST: {}, _STEPS: {}}
        for path, array in state.arrays.items():
            whose, _, name = path.partition("/")
            parts.setdefault(whose, {})[name] = array
        facts = state.facts
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        self.best, self.bf16 = facts["best"], facts["bf16"]
        self._kept = {name: torch.from_numpy(array) for name, array in parts[_BEST].items()}
        self._take({name: torch.from_numpy(array) for name, array in (parts[_NOW] or parts[_BEST]).items()})
        self.steps.resume(parts[_STEPS], facts["steps"])
        version, numbers, gauss = facts["chance"]
        self._chance.setstate((version, tuple(numbers), gauss))
        torch.set_rng_state(torch.from_numpy(state.arrays[_CHANCE]))

    def _take(self, weights: Mapping[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, part in self._learned.items():
                part.copy_(weights[name])


def is_better(measure: float | None, best: float | None) -> bool:
    """Whether an epoch is to be kept; where nothing is held out, the latest is."""
    return measure is None or best is None or measure > best


def is_over(number: int, best: int, plan: TuningPlan) -> bool:
    """Whether to stop after epoch `number`. In the first half of all epochs the rate is too high for what is learned to
    show: on 10,000 rows the frozen encoder's head, which is fitted first, is still ahead after two epochs."""
    return number >= plan.epochs or number - max(best, plan.epochs // 2) >= plan.patience


SCALE = 20.0
"""Vectors have length 1: the head reads them this much longer, so that its numbers and the encoder's move alike."""

_FEW, _PLENTY = 2_000, 6_000
_MOST_WINDOWS = 16
"""Of a row; what lies behind is not learned from."""
_CHUNK = 500  # rows whose windows are read together

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning gave besides the encoder.

    weights: (classes, dimensions), bias: (classes,): the tuned head on unit vectors.
    history: [0] is the frozen encoder with its head; its loss is not known (0).
    best: the epoch kept, from 1; 0 is before any.
    """

    weights: Floats
    bias: Floats
    history: tuple[Epoch, ...]
    best: int
    bf16: bool
    multi_label: bool
    system_tokens: int = 0


def plan_for(dimensions: int, rows: int, *, multi_label: bool, layers: int | None = None) -> TuningPlan:
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
        return TuningPlan(rate=rate, epochs=epochs, smoothing=smoothing, kept=kept, beginning=1_500)
    epochs = 12 if rows < _FEW else 8 if not enough else 6 if multi_label else 3
    return TuningPlan(rate=2.5e-4, epochs=epochs, smoothing=smoothing)


def tune(
    encoder: TorchEncoder,
    lesson: TuningSet,
    *,
    plan: TuningPlan,
    multi_label: bool,
    seed: int,
    say: Say,
    system_tokens: int = 0,
    checkpoint: Checkpoint | None = None,
) -> Tuned:
    """Train `encoder` in place on a lesson's rows that are not held out; its `measured` ones choose the epoch kept.

    say: given a line for each epoch.
    system_tokens: how many of the system prompt are read with each text.
    checkpoint: where epochs that take long are kept, and where to go on.
    """
    tuning = _HeadTuning(encoder, lesson, plan, multi_label=multi_label, seed=seed, system_tokens=system_tokens)
    epochs = tuning.epochs
    state = checkpoint.read() if checkpoint else None
    if checkpoint and state:
        epochs.resume(state)
        del state  # it takes as much room as the encoder and the optimizer
        say(f"goes on after epoch {epochs.number}, which {checkpoint.file} holds; delete it to begin anew")
    else:
        say("reading rows with the frozen encoder")
        tuning.begin()
        say(f"epoch 0 of {plan.epochs}: {', '.join(['the frozen encoder', *tuning.shown(epochs.history[0])])}")
    while not is_over(epochs.number, epochs.best, plan):
        began = time.monotonic()
        tuning.run()
        latest = epochs.history[-1]
        shown = [f"loss {latest.loss:.3f}", *tuning.shown(latest)]
        say(f"epoch {epochs.number} of {plan.epochs}: {', '.join(shown)}")
        if checkpoint and time.monotonic() - began >= WORTH_S:
            _keep(checkpoint, epochs, say)
    epochs.settle()
    encoder.module.eval()
    weights, bias = head_of(tuning.head, SCALE)
    return Tuned(
        weights=weights,
        bias=bias,
        history=tuple(epochs.history),
        best=epochs.best,
        bf16=epochs.bf16,
        multi_label=multi_label,
        system_tokens=system_tokens,
    )


def _keep(checkpoint: Checkpoint, epochs: Epochs, say: Say) -> None:
    """A full disk ends no tuning."""
    try:
        checkpoint.write(epochs.state())
    except OSError as error:
        say(f"epoch {epochs.number} is not kept: {error}")


class _HeadTuning:
    """An encoder and a head on its vectors, being tuned. head: a torch module; epochs: those so far."""

    def __init__(
        self,
        encoder: TorchEncoder,
        lesson: TuningSet,
        plan: TuningPlan,
        *,
        multi_label: bool,
        seed: int,
        system_tokens: int,
    ) -> None:
        import torch

        texts, systems = [row.text for row in lesson.rows], prompts_of(lesson.rows, system_tokens)
        self._encoder, self._plan, self._multi_label = encoder, plan, multi_label
        self._windows = encoder.windows(texts, systems, _MOST_WINDOWS) if multi_label else []
        # of each row the window that it is read by
        self._rows = [cut[0] for cut in self._windows] if multi_label else encoder.tokenize(texts, systems)
        self._long = np.array([len(cut) > 1 for cut in self._windows] or [False] * len(texts))
        self._targets = lesson.targets
        self._weights = np.array([row.weight for row in lesson.rows], np.float32)
        self._fit, self._test = np.flatnonzero(~lesson.held), np.flatnonzero(lesson.held & lesson.measured)
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self.head: Any = torch.nn.Linear(encoder.dimensions, lesson.targets.shape[1])
        total = plan.epochs * -(-len(self._fit) // plan.batch)
        steps = Steps(encoder, self.head, rate=plan.rate, total=total, kept=plan.kept)
        self.epochs = Epochs(encoder, self.head, steps, self._chance, bf16=bf16_helps(encoder.dimensions))

    def begin(self) -> None:
        """Fit the head on the frozen encoder."""
        fit, most = self._fit, self._plan.beginning
        first = fit if len(fit) <= most else np.sort(self._chance.sample(fit.tolist(), most))
        vectors = self._vectors([self._rows[index] for index in first])
        fitted = tuning_set.fit(vectors, self._targets[first], self._weights[first], multi_label=self._multi_label)
        set_head(self.head, fitted)
        self.epochs.ended(Epoch(loss=0.0, measure=self._measure()))

    def run(self) -> None:
        """One epoch."""
        self._choose(self._fit)
        lengths = [len(self._rows[index]) for index in self._fit]
        loss = run_epoch(
            self._encoder,
            self.epochs.steps,
            lengths,
            self._plan.batch,
            self._chance,
            loss=self._loss,
            kept=self._plan.kept,
        )
        self.epochs.ended(Epoch(loss=loss, measure=self._measure()))

    def shown(self, epoch: Epoch) -> list[str]:
        """The measure of an epoch for people, where there is one."""
        name = "average precision" if self._multi_label else "accuracy"
        return [] if epoch.measure is None else [f"held-out {name} {epoch.measure:.1%}"]

    def _loss(self, batch: NDArray[np.intp]) -> Any:
        import torch

        chosen = self._fit[batch]
        with precision(bf16=self.epochs.bf16):
            vectors = self._encoder.forward([self._rows[index] for index in chosen])
        logits, targets = self.head(SCALE * vectors), torch.from_numpy(self._targets[chosen])
        each = _losses(logits, targets, self._plan.smoothing, multi_label=self._multi_label)
        weights = torch.from_numpy(self._weights[chosen])
        return (each * weights).sum() / weights.sum().clamp(min=1e-6)

    def _measure(self) -> float | None:
        """On held-out rows; None without any."""
        self._choose(self._test)
        if not len(self._test):
            return None
        logits = self._logits([self._rows[index] for index in self._test])
        return measure_of(logits, self._targets[self._test], multi_label=self._multi_label)

    def _choose(self, places: NDArray[np.intp]) -> None:
        """Put the window that speaks loudest in the place of each of these rows that has several."""
        long = places[self._long[places]]
        for start in range(0, len(long), _CHUNK):
            some = long[start : start + _CHUNK].tolist()
            logits = self._logits([window for index in some for window in self._windows[index]])
            starts = np.cumsum([0, *(len(self._windows[index]) for index in some[:-1])])
            for index, place in zip(some, (loudest(any_logit(logits), starts) - starts).tolist(), strict=True):
                self._rows[index] = self._windows[index][place]

    def _vectors(self, windows: Sequence[list[int]]) -> Floats:
        return self._encoder.vectors(windows, bf16=self.epochs.bf16)

    def _logits(self, windows: Sequence[list[int]]) -> Floats:
        weights, bias = head_of(self.head, SCALE)
        return self._vectors(windows) @ weights.T + bias


def _losses(logits: Any, targets: Any, smoothing: float, *, multi_label: bool) -> Any:
    """(rows,) Of several labels, whether any holds at all is learned with which: text that is plainly harmful and
    fits no label well must not fall between them."""
    import torch

    if multi_label:
        both = torch.cat([logits, torch.logsumexp(logits, dim=1, keepdim=True)], dim=1)
        wanted = torch.cat([targets, targets.amax(dim=1, keepdim=True)], dim=1)
        smooth = wanted * (1 - smoothing) + smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(both, smooth, reduction="none").sum(1)
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return -(smooth * torch.log_softmax(logits, dim=-1)).sum(1)


def set_head(head: Any, fitted: tuple[Floats, Floats]) -> None:
    """Set a head on vectors as long as SCALE to what was fitted on vectors of length 1."""
    import torch

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
