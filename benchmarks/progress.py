"""What a benchmark says while it trains."""

import sys


class Lines:
    """Progress on stderr, a line for each step."""

    def __init__(self, name: str) -> None:
        self._name = name

    def step(self, name: str) -> None:
        print(f"{self._name}: {name}", file=sys.stderr, flush=True)

    def advance(self, done: int, total: int) -> None:
        """A line for each text would be noise."""
