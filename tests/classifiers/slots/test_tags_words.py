"""Words of a text, and where they stand in it as it was given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.encoder.session import Encoder
from classifiers.slots.tags import read
from classifiers.text.normalise import normalise


def words(encoder: Encoder, text: str) -> list[str]:
    return [text[start:end] for start, end in read(text, encoder.words).places]


def test_places_are_those_of_the_text_as_it_was_given(encoder: Encoder) -> None:
    assert words(encoder, "Table  for\tfour,\n7pm") == ["Table", "for", "four", ",", "7pm"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("um １９:30 bitte", ["um", "１９", ":", "30", "bitte"]),
        ("for fo\u200bur", ["for", "fo\u200bur"]),
        ("\ufeffcafé at ½ past", ["café", "at", "½", "past"]),
        ("Jose\u0301, Garci\u0301a.", ["Jose\u0301", ",", "Garci\u0301a", "."]),
        ("pay $20", ["pay", "$", "20"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_invisible_and_odd_characters_keep_their_places(encoder: Encoder, text: str, found: list[str]) -> None:
    assert words(encoder, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\u2026Rene\u0301-Andre\u0301", ["\u2026"] * 3 + ["Rene\u0301", "-", "Andre\u0301"]),
        ("\u2026Okafor\u200b\u200b", ["\u2026"] * 3 + ["Okafor"]),
        ("\u2116:Peter\u200b", ["\u2116", ":", "Peter"]),
        ("b0mb,Peter", ["b0mb", ",", "Peter"]),
        ("\u028e\u0250po\u0287\u02d9\u028eu\u0250\u027e", ["\u028e\u0250po\u0287\u02d9\u028eu\u0250\u027e"] * 3),
    ],
)  # fmt: skip
def test_what_a_word_gains_and_loses_does_not_shift_places(encoder: Encoder, text: str, found: list[str]) -> None:
    assert words(encoder, text) == found


@pytest.mark.parametrize("before", ["", "\u2026"])
def test_words_in_a_long_run_without_blanks_have_their_own_places(encoder: Encoder, before: str) -> None:
    text = before + (
        '{"customer":{"first_name":"Joe","last_name":"Okafor","city":"Leeds"},"people":4,"time":"19:30","team":"north"}'
    )
    found = words(encoder, text)
    assert {"Joe", "Okafor", "Leeds", "north"} <= set(found)
    assert list(read(text, encoder.words).ids) == encoder.tokenize(normalise(text))


def test_places_in_a_long_run_of_chinese_are_single_characters(encoder: Encoder) -> None:
    text = "\u4f60\u597d\uff0c\u6211\u60f3\u9884\u8ba2\u660e\u5929\u665a\u4e0a\u7684\u4f4d\u5b50\u3002" * 8
    assert len(text) > 90
    assert {len(word) for word in words(encoder, text)} == {1}


def test_what_cannot_be_told_in_a_long_run_is_told_in_the_rest_of_it(encoder: Encoder) -> None:
    text = '{"first_name":"Joe",' + '"note":"some",' * 10 + '"team":"b.o.m.b"}'
    found = words(encoder, text)
    assert "Joe" in found
    assert max(map(len, found)) <= 90


def test_ids_are_those_that_labels_are_told_by(encoder: Encoder) -> None:
    text = "Book a tabel for 4 at Café Zürich \U0001f600 on Friday, 7:30pm — thanks!"
    assert list(read(text, encoder.words).ids) == encoder.tokenize(normalise(text))


def test_a_text_of_several_pieces_keeps_its_places(encoder: Encoder) -> None:
    text = "some words, " * 900 + "the end"
    found = read(text, encoder.words)
    assert text[slice(*found.places[-1])] == "end"
    assert len(found.places) == 900 * 3 + 2


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_places_are_in_order_and_within_the_text(encoder: Encoder, text: str) -> None:
    found = read(text, encoder.words)
    assert len(found.firsts) == len(found.places)
    assert list(found.firsts) == sorted(set(found.firsts))
    assert all(0 <= start <= end <= len(text) for start, end in found.places)
    starts = [start for start, _ in found.places]
    assert starts == sorted(starts)
