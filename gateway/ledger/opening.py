"""What is opened in steps: a failed step closes it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Closes(Protocol):
    """Something open."""

    def close(self) -> None:
        """Closes it."""


T = TypeVar("T", bound=Closes)


@contextmanager
def closed_on_failure(one: T) -> Iterator[T]:
    """Closes it where the block raises; else it stays open."""
    try:
        yield one
    except BaseException:
        one.close()
        raise
