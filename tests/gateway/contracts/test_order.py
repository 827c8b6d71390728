"""The order in which calls count: by their coins, whatever takes long, is left, or is never over."""

import pytest

from gateway.contracts.contract import Pair
from gateway.contracts.order import Order


def pair(number: int, *, agrees: bool = True) -> Pair:
    """Identified by its confidence."""
    return Pair(chosen=True, confidence=number / 10_000, agrees=agrees, attempt=1, threshold=None)


def begun(count: int) -> Order:
    order = Order()
    for number in range(1, count + 1):
        order.begin(number, pair(number, agrees=False), now=0.0)
    return order


@pytest.mark.parametrize(
    ("calls", "steps"),
    [
        # what ends early waits for what began before
        (3, [("end", 2, 1.0, []), ("end", 3, 1.0, []), ("end", 1, 9.0, [1, 2, 3])]),
        # a call that is no pair holds up none
        (3, [("end", 2, 1.0, []), ("leave", 1, 1.0, [2]), ("end", 3, 1.0, [3])]),
        # one that waits itself lets none go before it
        (4, [("end", 3, 1.0, []), ("leave", 2, 1.0, []), ("leave", 4, 1.0, []), ("end", 1, 1.0, [1, 3])]),
        # one that is not over for an hour is a disagreement (-), once
        (3, [("end", 2, 3599.0, []), ("end", 3, 3601.0, [-1, 2, 3]), ("end", 1, 4000.0, [])]),
        # one that was given up and leaves lets the next be given up
        (3, [("end", 3, 3599.0, []), ("leave", 1, 3601.0, [-2, 3]), ("leave", 2, 3602.0, [])]),
    ],
)
def test_pairs_count_in_the_order_of_their_coins(calls: int, steps: list[tuple[str, int, float, list[int]]]) -> None:
    order = begun(calls)
    for what, number, now, counting in steps:
        counted = order.end(number, pair(number), now=now) if what == "end" else order.leave(number, now=now)
        assert counted == [pair(abs(each), agrees=each > 0) for each in counting]
    assert order.idle


def test_a_call_that_holds_up_thousands_is_a_disagreement() -> None:
    order = begun(5001)
    for number in range(2, 5001):
        assert order.end(number, pair(number), now=1.0) == []
    counting = order.end(5001, pair(5001), now=1.0)
    assert counting[0] == pair(1, agrees=False)
    assert len(counting) == 5001
