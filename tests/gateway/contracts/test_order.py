"""The order in which checks count: by their coins, whatever takes long, is left, or is never over."""

from typing import Any

import pytest

from gateway.contracts.contract import Coin
from gateway.contracts.order import Counted, Order


def coin(number: int, **more: Any) -> Coin:
    return Coin(key="k", number=number, **{"acts": (True,), "nominal": (1.0,), **more})


def begun(count: int, **more: Any) -> Order:
    order = Order()
    for number in range(1, count + 1):
        order.begin(coin(number, **more), now=0.0)
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


LIVE = {"nominal": (0.05,), "chance": 0.2}


def test_a_call_that_holds_up_hundreds_of_calls_that_are_answered_here_is_wrong() -> None:
    order = begun(301, **LIVE)
    for number in range(2, 201):
        assert order.end(coin(number, **LIVE), [False], now=1.0) == []
    assert numbers(order.end(coin(201, **LIVE), [False], now=1.0)) == [-1, *range(2, 202)]
    # those that counted hold up nothing any more
    for number in range(203, 302):
        assert order.end(coin(number, **LIVE), [False], now=1.0) == []


def test_in_shadow_all_are_waited_for() -> None:
    order = begun(1001)
    for number in range(2, 1002):
        assert order.end(coin(number), [False], now=1.0) == []
    assert numbers(order.end(coin(1), [False], now=2.0)) == [*range(1, 1002)]


def test_what_is_under_way_weighs_as_its_checks_would_and_what_waits_counts_while_it_is_wrong() -> None:
    order = begun(3)
    assert order.under_way == [3, 0]
    for number, wrong, weight in ((2, False, 2), (3, True, 2), (1, True, 0)):
        order.end(coin(number), [wrong], now=1.0)
        assert order.under_way == [weight, 0]
    for fields, weight in ((LIVE, 0.25), ({"nominal": (0.05,), "chance": 0.3}, 0.25), ({"acts": (False,)}, 0)):
        assert begun(3, **fields).under_way == [3 * weight, 0]
