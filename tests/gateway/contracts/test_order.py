"""The order in which checks count: by their coins, whatever takes long, is left, or is never over."""

import pytest

from gateway.contracts.contract import Coin
from gateway.contracts.order import Counted, Order


def coin(number: int) -> Coin:
    return Coin(key="k", number=number, acts=(True,))


def begun(count: int) -> Order:
    order = Order()
    for number in range(1, count + 1):
        order.begin(coin(number), now=0.0)
    return order


def numbers(counted: list[Counted]) -> list[int]:
    """Those that count as wrong with a minus."""
    return [-each.number if wrong == [True] else each.number for each, wrong in counted]


@pytest.mark.parametrize(
    ("calls", "steps"),
    [
        # what ends early waits for what began before
        (3, [("end", 2, 1.0, []), ("end", 3, 1.0, []), ("end", 1, 9.0, [1, 2, 3])]),
        # a call that is no check holds up none
        (3, [("end", 2, 1.0, []), ("leave", 1, 1.0, [2]), ("end", 3, 1.0, [3])]),
        # one that waits itself lets none go before it
        (4, [("end", 3, 1.0, []), ("leave", 2, 1.0, []), ("leave", 4, 1.0, []), ("end", 1, 1.0, [1, 3])]),
        # one that is not over for a quarter of an hour is wrong (-), once
        (3, [("end", 2, 899.0, []), ("end", 3, 901.0, [-1, 2, 3]), ("end", 1, 1000.0, [])]),
        # one that was given up and leaves lets the next be given up
        (3, [("end", 3, 899.0, []), ("leave", 1, 901.0, [-2, 3]), ("leave", 2, 902.0, [])]),
    ],
)
def test_checks_count_in_the_order_of_their_coins(calls: int, steps: list[tuple[str, int, float, list[int]]]) -> None:
    order = begun(calls)
    for what, number, now, counting in steps:
        ended = what == "end"
        found = order.end(coin(number), [False], now=now) if ended else order.leave(coin(number), now=now)
        assert numbers(found) == counting
    assert order.idle
    assert order.under_way == [0, 0]


def test_a_call_that_holds_up_hundreds_is_wrong() -> None:
    order = begun(201)
    assert order.under_way == [201, 0]
    for number in range(2, 201):
        assert order.end(coin(number), [False], now=1.0) == []
    assert numbers(order.end(coin(201), [False], now=1.0)) == [-1, *range(2, 202)]
