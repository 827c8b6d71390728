"""How training tells whoever watches what it is doing."""

from typing import Protocol


class Progress(Protocol):
    """A watcher. `step` names what begins; `advance` says how far it is, where that is known."""

    def step(self, name: str) -> None:
        """One of the nine steps, or preparing the encoder, begins."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` texts or answers of the current step are ready."""


class Silent:
    """Nobody watches."""

    def step(self, name: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int) -> None:
        """Say nothing."""
