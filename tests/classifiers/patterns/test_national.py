import re

import pytest

from classifiers.patterns.national import find
from classifiers.patterns.national_forms import BARE, SAID


@pytest.mark.parametrize("name", sorted({name for name, *_ in (*BARE, *SAID)} - {"", "us", "gb"}))
def test_the_library_knows_each_form(name: str) -> None:
    module = __import__(f"stdnum.{name}", fromlist=["is_valid"])
    assert module.is_valid("1") is False


@pytest.mark.parametrize(
    "text",
    [
        *("54.362.315-K", "54362315-K", "54362315 K", "12.345.678Z"),
        *("TFN 123-456-782", "TFN 123 456 782", "SV-Nr 1237-010180", "SV-Nr 1237 010180"),
        *("ID number 750330-5044-089", "ID number 750330 5044 089"),
        *("2-55-08-14-168-025-38", "2 55 08 14 168 025 38", "2.55.08.14.168.025.38"),
        *("86-095-742-719", "86.095.742.719", "756.9217.0769.85", "756 9217 0769 85", "85.07.30-033.28"),
        *("811228-9874", "811228+9874", "131052-308T", "131052A308T", "710319/2745", "X-1234567-L"),
        *("CPR 211062-5629", "NHS 943-476-5919", "SIN 123-456-782", "Aadhaar 2341-2341-2346", "NIF 501.964.843"),
        *("BSN 1112.22.333", "12.531.909-2", "20-05536168-2"),
    ],
)
def test_each_separator_that_a_form_allows_is_seen_through(text: str) -> None:
    number = re.search(r"[\dX].*", text)
    assert number
    assert number.span() in list(find(text))


def test_a_weak_form_needs_its_word() -> None:
    assert not list(find("44051401359"))
    assert list(find("pesel 44051401359")) == [(6, 17)]
    assert not list(find("pesel " + "word " * 30 + "44051401359"))


def test_numbers_that_are_not_given_out() -> None:
    assert not list(find("666-45-6789 and 900-45-6789 and 123-00-6789 and 123-45-0000 and BG123456C"))
