"""Amounts of money."""

import pytest

from classifiers.slots.values import money
from classifiers.slots.values.numbers import Value


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("$1,200", "1200", "USD"), ("20 bucks", "20", "USD"), ("five pounds fifty", "5.50", "GBP"),
        ("99p", "0.99", "GBP"),
        ("12,50 EUR", "12.50", "EUR"), ("EUR 30", "30", "EUR"), ("1.234,56 \u20ac", "1234.56", "EUR"),
        ("1.5k euros", "1500", "EUR"), ("\u00a35.20", "5.20", "GBP"), ("50 cents", "0.50", "USD"),
        ("$20/month", "20", "USD"), ("9,99 \u20ac/mo", "9.99", "EUR"), ("$12.50 / hr", "12.50", "USD"),
        ("MX$20", "20", "MXN"), ("NT$20", "20", "TWD"), ("only$20", "20", "USD"), ("one-hundred dollars", "100", "USD"),
        ("a hundred quid", "100", "GBP"), ("US$ 12", "12", "USD"), ("A$15", "15", "AUD"), ("a dollar", "1", "USD"),
        ("$5 and 50 cents", "5.50", "USD"), ("\u00a35 50p", "5.50", "GBP"), ("\u00a320 p.p.", "20", "GBP"),
        ("20 bucks for 2", "20", "USD"), ("20 bucks for two", "20", "USD"), ("50\u00a2", "0.50", "USD"),
        ("five dollars and fifty cents", "5.50", "USD"), ("$0.50 cents", "0.50", "USD"),
        ("50 cents USD", "0.50", "USD"), ("twenty five cents", "0.25", "USD"), ("about 50 cents", "0.50", "USD"),
        ("5 USD 50 cents", "5.50", "USD"), ("two hundred cents", "2", "USD"),
        ("1500inr", "1500", "INR"), ("half a million dollars", "500000", "USD"), ("1 000 \u20ac", "1000", "EUR"),
        ("-$5", "-5", "USD"), ("3 dollars 50", "3.50", "USD"),
        ("200 swiss francs", "200", "CHF"), ("2 million yen", "2000000", "JPY"),
        ("CHF 1'200.50", "1200.50", "CHF"), ("1\u2019200 francs", "1200", "CHF"), ("3.50 EUR", "3.50", "EUR"),
        ("0,500 EUR", "0.50", "EUR"),
        ("$.50", "0.50", "USD"), ("it was $ .99 more", "0.99", "USD"), (".50 EUR", "0.50", "EUR"),
        (".50eur", "0.50", "EUR"), ("-$.50", "-0.50", "USD"), ("USD .75", "0.75", "USD"), ("$.500", "0.50", "USD"),
        ("$.5m", "500000", "USD"),
        ("$.50 cents", "0.50", "USD"), ("\u00a3.50p", "0.50", "GBP"), ("dollars .50", "0.50", "USD"),
        ("5 dollars and 12.5 cents", "5.125", "USD"), ("\u00a3.99p", "0.99", "GBP"), ("0.5 cents", "0.005", "USD"),
        (".50 dollars", "0.50", "USD"), ("a $.50 stamp", "0.50", "USD"), ("about .50 euros", "0.50", "EUR"),
        ("$5 for .5 litres", "5", "USD"), ("5 dollars for .5 kg", "5", "USD"), ("approx.5 cents", "0.05", "USD"),
        ("$...5", "5", "USD"), ("approx.5 euros", "5", "EUR"),
        ("12,500 EUR", "12500", "EUR"), ("3.459 million EUR", "3459000", "EUR"), ("$5m", "5000000", "USD"),
        ("2.5m euros", "2500000", "EUR"), ("$0.005", "0.005", "USD"), ("12.5 cents", "0.125", "USD"),
        ("minus 5 dollars 50", "-5.50", "USD"), ("-$5 and 50 cents", "-5.50", "USD"),
        ("two dollars and a half", "2.50", "USD"), ("a dollar and a half each", "1.50", "USD"),
        ("two dollars and a half dozen eggs", "2", "USD"), ("minus 2 dollars and a quarter", "-2.25", "USD"),
        ("try 20 dollars", "20", "USD"), ("TRY 20 DOLLARS", "20", "USD"), ("TRY 20", "20", "TRY"),
        ("20 try", "20", "TRY"), ("500rub", "500", "RUB"), ("fifty usd", "50", "USD"), ("eur 20", "20", "EUR"),
        ("20 CAD dollars", "20", "CAD"), ("COP$ 20", "20", "COP"),
        ("50c", "0.50", "USD"), ("5 dollars 50c", "5.50", "USD"), ("\u20ac5 50ct", "5.50", "EUR"),
        ("20 cts", "0.20", "USD"), ("20 c$", "20", "CAD"), ("20 CAD", "20", "CAD"),
        ("2 for $.50", "0.50", "USD"), ("No.5 for $20", "20", "USD"), ("three for 5 euros", "5", "EUR"),
        ("2 tickets at \u20ac15", "15", "EUR"), ("2 x $20", "20", "USD"), ("2x $20", "20", "USD"),
        ("3 @ EUR 20", "20", "EUR"), ("2 FOR $20", "20", "USD"), ("2X $20", "20", "USD"), ("2 x$20", "20", "USD"),
        ("$20 for seat 12C", "20", "USD"), ("$5,000 for a 2 ct diamond", "5000", "USD"),
        ("$300 iPhone 5c", "300", "USD"),
        ("\u20ac5 for 50c", "5", "EUR"), ("20 dollars 2x", "20", "USD"), ("5 pounds 2 at a time", "5", "GBP"),
        ("send 50 for lunch in euros", "50", "EUR"), ("100 at most EUR", "100", "EUR"),
        ("50 euro cents", "0.50", "EUR"), ("10 euro-cent", "0.10", "EUR"), ("75 dollar cents", "0.75", "USD"),
        ("20 cents euro", "0.20", "EUR"), ("50 eurocents", "0.50", "EUR"), ("2 euro and 50 euro cents", "2.50", "EUR"),
        ("EUR -20.00", "-20", "EUR"), ("USD -5", "-5", "USD"), ("about -$5", "-5", "USD"), ("-EUR 5", "-5", "EUR"),
        ("about -EUR 5", "-5", "EUR"), ("$-5", "-5", "USD"),
        ("$100 k", "100000", "USD"), ("100 k EUR", "100000", "EUR"), ("$5 m", "5000000", "USD"),
        ("3\u20ac50", "3.50", "EUR"), ("3 \u20ac 50", "3.50", "EUR"), ("\u00a33 50", "3.50", "GBP"),
        ("-\u00a33 50", "-3.50", "GBP"), ("3\u20ac50 each", "3.50", "EUR"), ("2 CHF 50", "2.50", "CHF"),
        ("$1 000", "1000", "USD"),
        ("$5B", "5000000000", "USD"), ("$5T", "5000000000000", "USD"), ("$5 trillion", "5000000000000", "USD"),
        ("5 trillion dollars", "5000000000000", "USD"), ("$5mm", "5000000", "USD"), ("$5 MM", "5000000", "USD"),
        ("$5 mil", "5000000", "USD"), ("5 mil dollars", "5000000", "USD"), ("EUR 5.5 mn", "5500000", "EUR"),
        ("5 grand dollars", "5000", "USD"), ("five grand in euros", "5000", "EUR"), ("20 thou dollars", "20000", "USD"),
        ("\u20ac5 Mio", "5000000", "EUR"), ("5 Mio. Euro", "5000000", "EUR"), ("5 Mrd \u20ac", "5000000000", "EUR"),
        ("5 lakh rupees", "500000", "INR"), ("\u20b92 crore", "20000000", "INR"), ("$5bn", "5000000000", "USD"),
        ("20 dollars canadian", "20", "CAD"), ("$20 canadian", "20", "CAD"), ("20 aussie dollars", "20", "AUD"),
        ("20 hong kong dollars", "20", "HKD"), ("20 new zealand dollars", "20", "NZD"), ("U.S. $20", "20", "USD"),
        ("20 singapore dollars", "20", "SGD"), ("20 egyptian pounds", "20", "EGP"), ("20 U.S. dollars", "20", "USD"),
        ("20 british pounds sterling", "20", "GBP"), ("20 pounds sterling", "20", "GBP"),
        ("a couple of bucks", "2", "USD"), ("20 more dollars", "20", "USD"), ("half of a dollar", "0.50", "USD"),
        ("a 20-dollar bill", "20", "USD"), ("20 indian rupees", "20", "INR"),
        ("buck fifty", "1.50", "USD"), ("a buck fifty", "1.50", "USD"), ("bucks 50", "50", "USD"),
        ("2 for 99p", "0.99", "GBP"), ("$20 for 2", "20", "USD"), ("for $20", "20", "USD"),
        ("$20 try", "20", "USD"), ("try 20 usd", "20", "USD"), ("cop 20$", "20", "USD"), ("\u20ba20 TRY", "20", "TRY"),
    ],
)  # fmt: skip
def test_amount_and_currency_are_read(text: str, amount: str, currency: str) -> None:
    assert money.read(text) == Value(value=amount, currency=currency)


def test_the_policys_currency_stands_where_the_text_names_none_or_only_dollars() -> None:
    assert money.read("ten", "EUR") == Value(value="10", currency="EUR")
    assert money.read("5 grand", "USD") == Value(value="5000", currency="USD")
    assert money.read("50c", "EUR") == Value(value="0.50", currency="EUR")
    assert money.read("$10", "CAD") == Value(value="10", currency="CAD")
    assert money.read("$10", "EUR") == Value(value="10", currency="USD")
    assert money.read("Rs.500", "INR") == Value(value="500", currency="INR")
    assert money.read("10 pounds", "CAD") == Value(value="10", currency="GBP")


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("500 kr", "NOK", "500 NOK"), ("Kr. 1.200,50", "SEK", "1200.50 SEK"),
        ("two thousand kroner", "DKK", "2000 DKK"),
        ("5k kr", "NOK", "5000 NOK"), ("500 kr", "EUR", None), ("500 kr", None, None), ("20 crowns", "CZK", "20 CZK"),
        ("500 swedish kronor", "NOK", "500 SEK"), ("20 z\u0142", "EUR", "20 PLN"), ("20,50z\u0142", None, "20.50 PLN"),
        ("20 K\u010d", "EUR", "20 CZK"), ("500 \u0440\u0443\u0431.", "EUR", "500 RUB"), ("\u20bd500", "EUR", "500 RUB"),
        ("2,000 pesos", "EUR", None), ("2,000 pesos", "MXN", "2000 MXN"), ("2,000 argentine pesos", "MXN", "2000 ARS"),
        ("20 lebanese pesos", "MXN", None), ("Rs. 500", "PKR", "500 PKR"), ("Rs. 500", "EUR", None),
        ("500 rupees", "PKR", "500 PKR"), ("500 rupees", "EUR", "500 INR"), ("R500", "EUR", "500 ZAR"),
        ("R$500", "EUR", "500 BRL"), ("\u00a5500", "CNY", "500 CNY"), ("\u00a5500", "EUR", "500 JPY"),
        ("CN\u00a5500", "EUR", "500 CNY"), ("500\u5143", "EUR", "500 CNY"), ("\u00a320", "EGP", "20 EGP"),
        ("20 KES", "EUR", "20 KES"), ("2 BTC", "EUR", None), ("\u20bf2", "EUR", None), ("2 bitcoins", "EUR", None),
        ("20 argentinian pesos", "MXN", "20 ARS"), ("20 filipino pesos", "MXN", "20 PHP"),
        ("20 UAE dirhams", None, "20 AED"), ("20 cuban pesos", "MXN", None), ("\u20a8500", "PKR", "500 PKR"),
        ("\u20a8500", "EUR", None),
        ("twenty kroner fifty", "NOK", None), ("three lira and a half", "TRY", None),
        ("3\u20ac and a half", None, "3.50 EUR"),
        ("kr twenty", "NOK", "20 NOK"), ("twenty kroner a dozen", "NOK", "20 NOK"), ("-kr 500", "NOK", "-500 NOK"),
        ("20 dollars (R 350)", "USD", None),
        ("20 kroner and 50 \u00f8re", "NOK", None), ("5 pesos and 50 centavos", "MXN", None),
        ("20 z\u0142 50 gr", "PLN", None), ("20 kroner 50", "NOK", "20.50 NOK"),
        ("5\u4e07\u5186", "JPY", None), ("500\u5186", "EUR", "500 JPY"),
        ("20 l\u0130ra", "EUR", None), ("500 krafts", "EUR", "500 EUR"), ("20 each", "EUR", "20 EUR"),
    ],
)  # fmt: skip
def test_what_money_is_called_where_it_is_used_is_no_other_money(
    text: str, currency: str | None, amount: str | None
) -> None:
    found = money.read(text, currency)
    assert (found and f"{found.value} {found.currency}") == amount


@pytest.mark.parametrize(
    "text", ["ten", "a lot of money", "", "euros", "20-30 dollars", "$" + "9" * 30, "try 20", "25C", "\u00a320 for 12p"]
)
def test_without_amount_or_currency_there_is_no_value(text: str) -> None:
    assert money.read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "3.500 EUR", "3.500 \u20ac", "3.500,- \u20ac", "3.500.-", "EUR 3.500.",
        "12.000 euros", "2.000 euros for 5", "20-30 euros for 2", "$3.459", "-3.500 EUR",
        "USD.75", "INR.500", "0.500.000 EUR", "$.500,00", "$.50-.75", "3 dollars .50", "3 dollars 0.50",
        "two-thirds of a dollar", "two point five million euros", "five hundred k dollars", "usd-20",
        "10 dollars to 20 dollars", "between 10 euros and 20 euros", "20 EUR or 30 EUR", "20 EUR - 30 EUR",
        "20 EUR or 30",
        "10 dollars or 20", "a dollar or 2 dollars", "20 EUR, 30 EUR", "ten dollars, twenty dollars",
        "20 cents or 2 euros",
        "3 \u20ac50", "2 $20", "3\u20ac5", "\u00a33 5", "two fifty dollars", "twelve fifty euros",
        "5 dollars 50 euro cents",
        "50 euros cents", "50 cents or twenty dollars",
        "two thirds of a dollar", "a million dollars and a half",
        ".99p", "about .99p", ".50 cents", ".50\u00a2", "five pounds and .50 pence", "5 pounds .50p",
        "5 T\u20ac", "5 Mill. euros", "$5 gazillion", "5 gazillion dollars", "$1e6", "1_000 dollars", ",99 \u20ac",
        "J$20", "TT$20 and 50 cents", "20 one dollar bills",
        "a million and a half dollars", "$20 grand total", "10% of $50", "50% of 200 dollars", "two times 20 dollars",
        "twice 20 dollars", "double $20", "20 euros minus 5", "$20 plus 5 tip", "a couple of 20 dollar bills",
        "pay 3 people $20", "pay 3 people 20 dollars", "2 tickets $20", "3 stamps 50 cents", "20 lebanese pounds",
        "20 jamaican dollars", "20 dollars jamaican", "20 cfa francs", "20 pakistani rupees",
        "5 USD and .50 cents", "$1 .50", "$3 + .50", "five dollars or .50", "\u00a33 & .50",
        "\u00a35 .50p", "$5 and .25 cents", "5 USD .50", "5eur .50", "5\u20ac .50",
        "5$.50", "$5 dollars .50", "five pounds, .50", "5 us dollars, and .50", "3 dollars .50 each",
        "twenty-five .50 dollars", "2 $.50 stamps", "a dollar and .50 cents", "a hundred dollars and .50 cents",
    ],
)  # fmt: skip
def test_what_could_be_two_amounts_is_none(text: str) -> None:
    assert money.read(text) is None


def test_a_word_that_could_be_a_code_is_not_the_policys_currency() -> None:
    assert money.read("try 20", "EUR") is None
    assert money.read("try 20 dollars", "EUR") == Value(value="20", currency="USD")


@pytest.mark.parametrize("text", ["50 for 2", "1e6", "10%", "a million and a half", "5t"])
def test_the_policys_currency_makes_no_doubt_certain(text: str) -> None:
    assert money.read(text, "USD") is None
