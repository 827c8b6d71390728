"""A mapping that forgets what was not used for longest, once it holds too much."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """capacity: the most that the weights of all entries may add up to; an entry heavier than that is not kept.

    weigh: an entry's weight, by default 1. Not for several threads at once.
    """

    def __init__(self, capacity: int, weigh: Callable[[K, V], int] = lambda _key, _value: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which is now the most recent; None where it is not held."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Hold a value, forgetting older ones as needed."""
        if key in self._entries:
            self.weight -= self._weigh(key, self._entries.pop(key))
        weight = self._weigh(key, value)
        if weight > self._capacity:
            return
        self._entries[key] = value
        self.weight += weight
        while self.weight > self._capacity:
            oldest, held = self._entries.popitem(last=False)
            self.weight -= self._weigh(oldest, held)
