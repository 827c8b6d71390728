"""Steps of tuning: AdamW, warmed up and then slowed down to nothing by the last epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from classifiers.training.fit.torch_encoder import TorchEncoder

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
