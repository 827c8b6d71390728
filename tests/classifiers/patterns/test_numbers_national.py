import re

import pytest

from classifiers.patterns.find import find as search
from classifiers.patterns.numbers import BARE, SAID, find_national


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
    assert number.span() in list(find_national(text))


@pytest.mark.parametrize(
    ("word", "number"),
    [
        *(
            ("RUT", "12531909-2"),
            ("RUT", "125319092"),
            ("personnummer", "198803200016"),
            ("personnummer", "8803200016"),
        ),
        *(("rodné číslo", "7103192745"), ("CUIT", "20055361682"), ("IC", "770305021234"), ("SS#", "536904399")),
        *(("CPF", "390533447-05"), ("CPF", "390 533 447 05"), ("BSN", "111-222-333"), ("PPSN", "6433435 F")),
        *(("NIF:", "PT501964843"), ("CF", "RCC MNL 83S18 D969H"), ("henkilötunnus", "131052-308t")),
        *(("rijksregisternummer", "85 07 30 033 28"), ("ITIN", "912-90-3456")),
        *(("Reisepass", "C01X00T47"), ("passeport", "12AB34567"), ("pasaporte", "AAA123456")),
        *(("paspoort", "SPECI2014"), ("passport", "AB 1234567"), ("passport no.", "c01x00t47")),
    ],
)
def test_a_number_beside_its_word_is_found_whole(word: str, number: str) -> None:
    assert [(one.start, one.end) for one in search(f"{word} {number}", ["national_id"])] == [
        (len(word) + 1, len(word) + 1 + len(number))
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("I run 12531909 2 times", "RUT 12531909-3", "personnummer 8803200017", "BSN 111-222-334"),
        *("the photo in my passport is from an iPhone15 with Windows10", "passport control is closed"),
    ],
)
def test_a_word_alone_says_nothing(text: str) -> None:
    assert not list(find_national(text))


def test_a_weak_form_needs_its_word() -> None:
    assert not list(find_national("44051401359"))
    assert list(find_national("pesel 44051401359")) == [(6, 17)]
    assert not list(find_national("pesel " + "word " * 30 + "44051401359"))


def test_numbers_that_are_not_given_out() -> None:
    assert not list(find_national("666-45-6789 and 900-45-6789 and 123-00-6789 and 123-45-0000 and BG123456C"))
