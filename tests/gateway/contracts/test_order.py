"""The order in which calls count: by their coins, whatever takes long, is left, or is never over."""

from gateway.contracts.contract import Pair
from gateway.contracts.order import Order


def pair(number: int, *, agrees: bool = True, attempt: int = 1) -> Pair:
    """Told apart by its confidence."""
    return Pair(chosen=True, confidence=number / 10_000, agrees=agrees, attempt=attempt, threshold=None)


def begun(count: int, *, now: float = 0.0) -> Order:
    order = Order()
    for number in range(1, count + 1):
        order.begin(number, pair(number, agrees=False), now=now)
    return order


def test_what_ends_early_waits_for_what_began_before() -> None:
    order = begun(3)
    assert order.end(2, pair(2), now=1.0) == []
    assert order.end(3, pair(3), now=1.0) == []
    assert order.end(1, pair(1, agrees=False), now=9.0) == [pair(1, agrees=False), pair(2), pair(3)]


def test_a_call_that_is_no_pair_holds_up_none() -> None:
    order = begun(3)
    assert order.end(2, pair(2), now=1.0) == []
    assert order.leave(1, now=1.0) == [pair(2)]
    assert order.end(3, pair(3), now=1.0) == [pair(3)]
    assert order.idle


def test_a_call_that_waits_itself_lets_none_go_before_it() -> None:
    order = begun(4)
    assert order.end(3, pair(3), now=1.0) == []
    assert order.leave(2, now=1.0) == []
    assert order.leave(4, now=1.0) == []
    assert order.end(1, pair(1), now=1.0) == [pair(1), pair(3)]


def test_a_call_that_was_given_up_and_leaves_lets_the_next_be_given_up() -> None:
    order = begun(3)
    assert order.end(3, pair(3), now=3599.0) == []
    assert order.leave(1, now=3601.0) == [pair(2, agrees=False), pair(3)]
    assert order.leave(2, now=3602.0) == []
    assert order.idle


def test_a_call_that_is_not_over_for_an_hour_is_a_disagreement_once() -> None:
    order = begun(3)
    assert order.end(2, pair(2), now=3599.0) == []
    assert order.end(3, pair(3), now=3601.0) == [pair(1, agrees=False), pair(2), pair(3)]
    assert order.end(1, pair(1), now=4000.0) == []


def test_a_call_that_holds_up_thousands_is_a_disagreement() -> None:
    order = begun(5001)
    for number in range(2, 5001):
        assert order.end(number, pair(number), now=1.0) == []
    counting = order.end(5001, pair(5001), now=1.0)
    assert counting[0] == pair(1, agrees=False)
    assert len(counting) == 5001
