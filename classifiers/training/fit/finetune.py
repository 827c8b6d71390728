"""Fine-tuning: encoder and head together on a policy's rows, the best checkpoint on held-out groups kept.

The head is fitted on the frozen encoder first and begins there. Where several labels may hold, a row that is longer
than a window counts by the one that speaks loudest for any label, chosen anew before each epoch: what is harmful in it
need not stand at its beginning (Andrews et al. 2002, "Support Vector Machines for Multiple-Instance Learning"). Word
embeddings stay as they are: they are most of a small encoder's numbers, and rows never hold more than a fraction of its
words.

Steps of tuning: AdamW, warmed up and then slowed down to nothing by the last epoch.

The epochs of a tuning: what each came to, which one's weights are the best, and when it is over.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Beside
from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import Floats
from classifiers.runtime.heads import any_logit
from classifiers.training.fit import tuning_set
from classifiers.training.fit.checkpoint import WORTH_S, Checkpoint, TuningState
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, precision, shuffled
from classifiers.training.windows import loudest

_WARM_UP = 0.1
_CLIP = 1.0
_DECAY = 0.01
_HEAD_RATE = 1e-3


class Steps:
    """Of an encoder and its heads: the encoder's word embeddings and lowest layers stay as they are. parameters: all
    that learn; taken: how many steps there were."""

    def __init__(self, encoder: "TorchEncoder", heads: Any, *, rate: float, total: int, kept: int = 0) -> None:
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

    def go_on(self, arrays: Mapping[str, NDArray[Any]], taken: int) -> None:
        """As if these steps had been taken here. arrays: as `arrays` gave them; they are taken over."""
        import torch

        state: dict[int, dict[str, Any]] = {}
        for path, array in arrays.items():
            index, _, name = path.partition(".")
            state.setdefault(int(index), {})[name] = torch.from_numpy(array)
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self.taken = taken


_NOW, _BEST, _STEPS, _CHANCE = "now", "best", "steps", "chance"
"""Whose arrays these are: the weights as they are, the best epoch's, the optimizer's, and torch's chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """loss: mean over the epoch's rows; measure: accuracy (single-label) or mean average precision (multi-label) on
    held-out rows, None without any."""

    loss: float
    measure: float | None


class Epochs:
    """Of an encoder and its head, beginning with number 0, before any step. history: each; best: the number of the one
    that is kept; steps: what is taken within each; chance: by which rows are put in order; bf16: whether products are
    in bfloat16."""

    def __init__(self, encoder: "TorchEncoder", head: Any, steps: Steps, chance: random.Random, *, bf16: bool) -> None:
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

    def standing(self) -> TuningState:
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

    def go_on(self, standing: TuningState) -> None:
        """Stand as it was told then. Its arrays are taken over."""
        import torch

        of: dict[str, dict[str, Any]] = {_NOW: {}, _BEST: {}, _STEPS: {}}
        for path, array in standing.arrays.items():
            whose, _, name = path.partition("/")
            of.setdefault(whose, {})[name] = array
        facts = standing.facts
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        self.best, self.bf16 = facts["best"], facts["bf16"]
        self._kept = {name: torch.from_numpy(array) for name, array in of[_BEST].items()}
        self._take({name: torch.from_numpy(array) for name, array in (of[_NOW] or of[_BEST]).items()})
        self.steps.go_on(of[_STEPS], facts["steps"])
        version, numbers, gauss = facts["chance"]
        self._chance.setstate((version, tuple(numbers), gauss))
        torch.set_rng_state(torch.from_numpy(standing.arrays[_CHANCE]))

    def _take(self, weights: Mapping[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, part in self._learned.items():
                part.copy_(weights[name])


def is_better(measure: float | None, best: float | None) -> bool:
    """Whether an epoch is to be kept; where nothing is held out, the latest is."""
    return measure is None or best is None or measure > best


def is_over(number: int, best: int, plan: "TuningPlan") -> bool:
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
    """weights: (classes, dimensions), bias: (classes,): the tuned head on unit vectors; best: the epoch kept, from 1;
    0 is before any. history[0] is the frozen encoder with its head; its loss is not known (0)."""

    weights: Floats
    bias: Floats
    history: tuple[Epoch, ...]
    best: int
    bf16: bool
    multi_label: bool


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
    texts: Sequence[str],
    targets: Floats,
    weights: Floats,
    *,
    held: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    plan: TuningPlan,
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
        begin(head, tuning_set.fit(frozen, targets[first], weights[first], multi_label=multi_label))
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


def _loss(logits: Any, targets: Any, plan: TuningPlan, *, multi_label: bool) -> Any:
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
