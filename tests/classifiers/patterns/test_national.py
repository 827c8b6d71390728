import pytest

from classifiers.patterns.national import find
from classifiers.patterns.national_forms import BARE, SAID


@pytest.mark.parametrize("name", sorted({name for name, *_ in (*BARE, *SAID)} - {"", "us", "gb"}))
def test_the_library_knows_each_form(name: str) -> None:
    module = __import__(f"stdnum.{name}", fromlist=["is_valid"])
    assert module.is_valid("1") is False


def test_a_weak_form_needs_its_word() -> None:
    assert not list(find("44051401359"))
    assert list(find("pesel 44051401359")) == [(6, 17)]
    assert not list(find("pesel " + "word " * 30 + "44051401359"))


def test_numbers_that_are_not_given_out() -> None:
    assert not list(find("666-45-6789 and 900-45-6789 and 123-00-6789 and 123-45-0000 and BG123456C"))
