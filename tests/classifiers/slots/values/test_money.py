"""Amounts of money."""

import pytest

from classifiers.slots.values import money
from classifiers.slots.values.value import Value


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("$1,200", "1200", "USD"), ("20 bucks", "20", "USD"), ("five pounds fifty", "5.50", "GBP"),
        ("99p", "0.99", "GBP"),
        ("12,50 EUR", "12.50", "EUR"), ("EUR 30", "30", "EUR"), ("1.234,56 \u20ac", "1234.56", "EUR"),
        ("1.5k euros", "1500", "EUR"), ("\u00a35.20", "5.20", "GBP"), ("50 cents", "0.50", "USD"),
        ("a hundred quid", "100", "GBP"), ("US$ 12", "12", "USD"), ("A$15", "15", "AUD"), ("a dollar", "1", "USD"),
        ("$5 and 50 cents", "5.50", "USD"), ("\u00a35 50p", "5.50", "GBP"), ("\u00a320 p.p.", "20", "GBP"),
        ("20 bucks for 2", "20", "USD"), ("20 bucks for two", "20", "USD"), ("50\u00a2", "0.50", "USD"),
        ("five dollars and fifty cents", "5.50", "USD"), ("$0.50 cents", "0.50", "USD"),
        ("50 cents USD", "0.50", "USD"), ("twenty five cents", "0.25", "USD"), ("about 50 cents", "0.50", "USD"),
        ("5 USD 50 cents", "5.50", "USD"), ("two hundred cents", "2", "USD"),
        ("1500inr", "1500", "INR"), ("half a million dollars", "500000", "USD"), ("1 000 \u20ac", "1000", "EUR"),
        ("-$5", "-5", "USD"), ("3 dollars 50", "3.50", "USD"),
        ("200 swiss francs", "200", "CHF"), ("2 million yen", "2000000", "JPY"),
    ],
)  # fmt: skip
def test_amount_and_currency_are_read(text: str, amount: str, currency: str) -> None:
    assert money.read(text) == Value(value=amount, currency=currency)


def test_the_policys_currency_stands_where_the_text_names_none_or_only_dollars() -> None:
    assert money.read("ten", "EUR") == Value(value="10", currency="EUR")
    assert money.read("$10", "CAD") == Value(value="10", currency="CAD")
    assert money.read("$10", "EUR") == Value(value="10", currency="USD")
    assert money.read("10 pounds", "CAD") == Value(value="10", currency="GBP")


@pytest.mark.parametrize("text", ["ten", "a lot of money", "", "euros", "20-30 dollars", "$" + "9" * 30])
def test_without_amount_or_currency_there_is_no_value(text: str) -> None:
    assert money.read(text) is None
