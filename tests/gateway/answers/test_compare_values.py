from datetime import UTC, datetime
from typing import Any

import pytest

from classifiers.policy import Slot
from gateway.answers.compare import Values

VALUES = Values(
    slots={
        "people": Slot(means="how many", type="number"),
        "date": Slot(means="the day", type="date"),
        "time": Slot(means="the time", type="time", hours="11:00-23:00"),
        "price": Slot(means="how much", type="money", currency="USD"),
        "fee": Slot(means="how much", type="money", currency="EUR"),
        "rent": Slot(means="how much", type="money", currency="NOK"),
        "meal": Slot(means="how much", type="money", currency="CNY"),
        "fare": Slot(means="how much", type="money"),
        "name": Slot(means="who"),
        "seat": Slot(means="where", type="enum", values={"outside": ("terrace",)}),
    },
    now=datetime(2026, 11, 25, 12, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("people", 4, "four"), ("people", 4, 4.0), ("people", "4", 4),
        ("date", "2026-11-26", "tomorrow"), ("date", "2026-11-26", "November 26, 2026"),
        ("time", "19:00", "7 pm"), ("time", "19:00:00", "19:00"), ("time", "19:00", "19:00:00Z"),
        ("time", "2026-11-27T19:00", "2026-11-27T19:00:00"), ("time", "2026-11-27T19:00", "2026-11-27T19:00:00.000Z"),
        ("time", "2026-11-27T19:00", "2026-11-27 19:00"), ("time", "2026-11-27T19:00", "friday at 7 pm"),
        ("price", 12.5, "$12.50"), ("price", "12.50 USD", 12.5), ("price", "12.50 EUR", 12.5),
        ("price", "12.50 EUR", "€12.50"), ("price", "12.50 USD", "12.50"),
        ("price", ["12.50 EUR", "12.50 USD"], ["$12.50", "€12.50"]), ("price", [12.5, 12.5], ["12.50 EUR", "$12.50"]),
        ("price", ["12.50 USD", "12.50 EUR"], [12.5, "€12.50"]), ("price", [12.5, "12.50 EUR"], ["€12.50", "$12.50"]),
        ("price", "12.50 CAD", "$12.50"), ("price", "12.50 AUD", "12.50 dollars"), ("price", "12.50 EUR", "12.50"),
        ("fee", "12.50 USD", "12.50"), ("fee", "12.50 EUR", "€12.50"), ("fare", "12.50 CAD", "$12.50"),
        ("fare", "12.50 EUR", "12.5"), ("name", "O'Neil", "oneil"), ("seat", "outside", "Terrace"),
        ("rent", "500 NOK", "500 kr"), ("rent", 500, "kr 500"), ("meal", "20 CNY", "\u00a520"),
        ("date", None, ""), ("name", [], None), ("people", [2, 4], ["four", 2]),
    ],
)  # fmt: skip
def test_the_same_said_otherwise(name: str, ours: Any, theirs: Any) -> None:
    assert VALUES.same(name, ours, theirs)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("people", 4, 5), ("people", 4, True), ("people", 4, {"adults": 4}), ("people", 0, None),
        ("date", "2026-11-26", "friday"), ("date", "2026-11-26", "2026-11-27"), ("date", "2026-11-26", "soon"),
        ("date", None, "2026-11-26"), ("time", "19:00", "7:30 pm"), ("price", 12.5, 12), ("name", "Ann", "Anna"),
        ("time", "2026-11-27T19:00", "2026-11-28T19:00:00"), ("time", "2026-11-27T19:00", "19:00:00"),
        ("time", "2026-11-27T19:00", "2026-11-27T19:00:00+02:00"), ("time", "2026-11-27T19:00", "2026-11-27T19:00:30"),
        ("price", "12.50 EUR", "12.50 USD"), ("price", "12.50 EUR", "$12.50"), ("price", "100 JPY", "100 EUR"),
        ("price", ["12.50 EUR"], ["12.50 USD"]), ("price", ["12.50 EUR", 12.5], ["12.50 USD", "12.50 USD"]),
        ("price", ["12.50 EUR", "20 USD"], ["12.50 USD", "20 EUR"]),
        ("fee", "12.50 EUR", "$12.50"), ("fare", "12.50", "1250"), ("fare", "12.50 GBP", "12.50 dollars"),
        ("rent", "500 EUR", "500 kr"), ("fare", "500 NOK", "500 kr"), ("meal", "20 EUR", "\u00a520"),
        ("fare", "12.50", "no fee"), ("seat", "outside", "inside"), ("name", ["Ann"], "Ann"), ("people", [2, 2], [2]),
    ],
)  # fmt: skip
def test_something_else(name: str, ours: Any, theirs: Any) -> None:
    assert not VALUES.same(name, ours, theirs)
