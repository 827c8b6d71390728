"""Figures of a group."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.discover.calls import Exchange, call_of
from gateway.discover.evaluate import consistency, entropy, period_s, spend
from gateway.ledger.prices import load_prices

from .logs import pair, user

PRICES = load_prices(Path(__file__).parents[3] / "config" / "prices.yaml")
ONE = pair(user("hello"), "a" * 40)
CALL = call_of(Exchange(request=ONE.request, response=ONE.response, at=0.0), "log:1")


def test_entropy_is_in_bits() -> None:
    assert entropy(["a", "b", None, "a", "b"]) == 1
    assert entropy(["a", "a"]) == 0
    assert entropy([None]) == 0


def test_consistency_counts_pairs_of_calls_with_one_input() -> None:
    found = consistency(["x", "x", "x", "y", "y", "z"], ["a", "a", "b", None, None, "c"])
    assert (found.inputs, found.pairs, found.agree) == (2, 4, 0.25)
    assert consistency(["x"], ["a"]).agree is None


def test_spend_is_by_the_price_list_first() -> None:
    found = spend([CALL, replace(CALL, reported_usd=9.0)], PRICES)
    assert found.usd == pytest.approx(2 * (100 * 2.5e-6 + 5 * 10e-6))
    assert (found.estimated, found.unpriced) == (0, 0)


def test_spend_that_a_ledger_tells_comes_before_the_price_list() -> None:
    found = spend(
        [replace(CALL, spent_usd=9.0, input_tokens=None), replace(CALL, model="our-own", spent_usd=0.0)], PRICES
    )
    assert (found.usd, found.estimated, found.unpriced) == (9.0, 0, 0)


def test_spend_of_a_model_without_a_price_is_what_the_log_says() -> None:
    strange = replace(CALL, model="our-own")
    found = spend([replace(strange, reported_usd=0.5), strange], PRICES)
    assert (found.usd, found.unpriced) == (0.5, 1)


def test_spend_without_usage_is_estimated_and_counted() -> None:
    bare = replace(CALL, input_tokens=None, output_tokens=None, message_bytes=400)
    found = spend([bare], PRICES)
    assert found.usd == pytest.approx(100 * 2.5e-6 + 10 * 10e-6)
    assert found.estimated == 1


def test_tokens_are_estimated_from_bytes() -> None:
    one = pair(user("hello"), "я" * 20)
    call = call_of(Exchange(request=one.request, response=one.response, at=0.0), "log:1")
    assert spend([replace(call, output_tokens=None)], PRICES).usd == pytest.approx(100 * 2.5e-6 + 10 * 10e-6)


def test_no_tokens_are_as_many_as_are_told() -> None:
    found = spend([replace(CALL, output_tokens=0)], PRICES)
    assert found.usd == pytest.approx(100 * 2.5e-6)
    assert found.estimated == 0


def test_the_period_is_from_the_first_call_to_the_last() -> None:
    calls = [replace(CALL, at=float(at)) for at in (0, 50, 100)]
    assert period_s(calls) == 150
    assert period_s([replace(CALL, at=None), *calls[:1]]) is None
    assert period_s([CALL, CALL]) is None
