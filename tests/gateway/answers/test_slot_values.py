"""Slots' values in the types of fields, by tests/tables/answers.yaml."""

import jsonschema

from classifiers.policy import Slot
from gateway.answers.slot_values import fit
from tests.gateway.answers.conftest import rows, value_of

VALUE_SLOTS = {
    "number": Slot(means="how many", type="number"),
    "date": Slot(means="the day", type="date"),
    "time": Slot(means="the time", type="time"),
    "money": Slot(means="how much", type="money"),
    "name": Slot(means="who"),
    "seat": Slot(means="where", type="enum", values={"outside": ("terrace", "outdoors"), "inside": ("indoors",)}),
}


def test_a_value_fits_exactly_or_not_at_all() -> None:
    wrong = []
    for slot, value, schema, expected in rows("values", {}):
        text, _, currency = str(value).partition(" ") if slot == "money" else (value, "", "")
        found = fit(VALUE_SLOTS[slot], value_of(slot, text, currency or None), schema)
        if (found, type(found)) != (expected, type(expected)):
            wrong.append((slot, value, schema, found))
        if found is not None:
            jsonschema.validate(found, schema)
    assert not wrong
