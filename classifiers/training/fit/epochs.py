"""The epochs of a tuning: what each came to, which one's weights are the best, and when it is over."""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from classifiers.training.fit.checkpoint import Standing
from classifiers.training.fit.steps import Steps

if TYPE_CHECKING:
    from classifiers.training.fit.finetune import Plan
    from classifiers.training.fit.torch_encoder import TorchEncoder

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

    def standing(self) -> Standing:
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
        return Standing(arrays={**arrays, _CHANCE: torch.get_rng_state().numpy()}, facts=facts)

    def go_on(self, standing: Standing) -> None:
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


def is_over(number: int, best: int, plan: "Plan") -> bool:
    """Whether to stop after epoch `number`. In the first half of all epochs the rate is too high for what is learned to
    show: on 10,000 rows the frozen encoder's head, which is fitted first, is still ahead after two epochs."""
    return number >= plan.epochs or number - max(best, plan.epochs // 2) >= plan.patience
