"""Values of slots as a schema's fields take them, each held against the schema by jsonschema."""

from typing import Any

import jsonschema
import pytest

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.answers.fill import fit

NUMBER = Slot(means="how many", type="number")
DATE = Slot(means="the day", type="date")
TIME = Slot(means="the time", type="time")
MONEY = Slot(means="how much", type="money")
NAME = Slot(means="who")
SEAT = Slot(means="where", type="enum", values={"outside": ("terrace", "outdoors"), "inside": ("indoors",)})


def value(said: Any, currency: str | None = None) -> SlotValue:
    return SlotValue(slot="s", start=0, end=1, raw="…", value=said, currency=currency, confidence=0.9)


@pytest.mark.parametrize(
    ("slot", "said", "schema", "expected"),
    [
        (NUMBER, value(4), {"type": "integer"}, 4),
        (NUMBER, value(4), {"type": "number", "minimum": 1, "maximum": 4}, 4),
        (NUMBER, value(2.5), {"type": "number", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, 2.5),
        (NUMBER, value(4), {"type": "string"}, "4"),
        (NUMBER, value(4), {"enum": [2, 4, 6]}, 4),
        (NUMBER, value(2.5), {"type": "integer"}, None),
        (NUMBER, value(5), {"type": "integer", "maximum": 4}, None),
        (NUMBER, value(2), {"type": "integer", "exclusiveMinimum": 2}, None),
        (NUMBER, value(5), {"enum": [2, 4, 6]}, None),
        (NUMBER, value(1), {"enum": [True]}, None),
        (NUMBER, value(1), {"type": "boolean"}, None),
        (NUMBER, value(None), {"type": "string"}, None),
        (DATE, value("2026-11-27"), {"type": "string"}, "2026-11-27"),
        (DATE, value("2026-11-27"), {"type": "string", "format": "date"}, "2026-11-27"),
        (DATE, value("2026-11-27/2026-11-28"), {"type": "string", "format": "date"}, None),
        (DATE, value("2026-11-27"), {"type": "string", "format": "date-time"}, None),
        (DATE, value("2026-11-27"), {"type": "integer"}, None),
        (TIME, value("19:00"), {"type": "string"}, "19:00"),
        (TIME, value("19:00"), {"type": "string", "format": "time"}, "19:00:00"),
        (TIME, value("19:00/21:00"), {"type": "string", "format": "time"}, None),
        (MONEY, value("12.50", "EUR"), {"type": "number"}, 12.5),
        (MONEY, value("12.50", "EUR"), {"type": "string"}, "12.50 EUR"),
        (MONEY, value("12", "EUR"), {"type": "integer"}, 12),
        (MONEY, value("12.50", "EUR"), {"type": "integer"}, None),
        (NAME, value("Okafor"), {"type": "string", "maxLength": 10}, "Okafor"),
        (NAME, value("Okafor"), {"type": "string", "maxLength": 3}, None),
        (NAME, value("4"), {"type": "integer"}, None),
        (SEAT, value("outside"), {"type": "string"}, "outside"),
        (SEAT, value("outside"), {"enum": ["INSIDE", "OUTSIDE"]}, "OUTSIDE"),
        (SEAT, value("outside"), {"enum": ["Indoors", "Outdoors"]}, "Outdoors"),
        (SEAT, value("outside"), {"enum": ["terrace", "outdoors"]}, None),
        (SEAT, value("outside"), {"enum": ["bar"]}, None),
        (NAME, value("Van der Berg"), {"enum": ["van der  berg", "Okafor"]}, "van der  berg"),
        (NAME, value("A-"), {"enum": ["A+", "B+"]}, None),
        (MONEY, value("12.50", "EUR"), {"enum": ["500", "1250", "2000"]}, None),
        (TIME, value("01:15"), {"enum": ["0:115"]}, None),
    ],
)
def test_a_value_fits_exactly_or_not_at_all(slot: Slot, said: SlotValue, schema: dict[str, Any], expected: Any) -> None:
    found = fit(slot, said, schema)
    assert (found, type(found)) == (expected, type(expected))
    if found is not None:
        jsonschema.validate(found, schema)
