from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.find import plain


def test_ascii_is_as_it_was() -> None:
    read = plain("card 4111")
    assert read.text == "card 4111"
    assert read.origin(5, 9) == (5, 9)


def test_digits_dashes_and_spaces_of_any_kind_become_ascii() -> None:
    assert plain("４١𝟗–\u00a0①").text == "419- 1"


def test_what_is_invisible_is_left_out_and_places_stay() -> None:
    read = plain("é\u200b\u200b12\u200b3\u200b")
    assert read.text == "é123"
    assert read.origin(1, 4) == (3, 7)
    assert read.origin(0, 1) == (0, 1)


def test_what_tag_characters_spell_is_read() -> None:
    assert plain("x" + "".join(chr(0xE0000 + ord(sign)) for sign in "a@b.de")).text == "xa@b.de"


def test_escapes_are_the_characters_that_they_spell() -> None:
    text = r"m\u00fcl\\u200b\u0034\ud83d\ude001\u00"
    read = plain(text)
    assert read.text == "mül4\U0001f6001\\u00"
    assert [text[slice(*read.origin(place, place + 1))] for place in range(6)] == [
        *("m", r"\u00fc", "l", r"\u0034", r"\ud83d\ude00", "1"),
    ]
    assert plain(r"\\u00fc").origin(0, 1) == (0, 7)
    read = plain(r"a\/b\\/")
    assert read.text == "a/b/"
    assert [read.origin(place, place + 1) for place in range(4)] == [(0, 1), (1, 3), (3, 4), (4, 7)]


@given(st.text())
def test_each_character_is_where_it_was(text: str) -> None:
    read = plain(text)
    places = [read.origin(index, index + 1) for index in range(len(read.text))]
    assert all(end == start + 1 for start, end in places)
    assert places == sorted(places)
    assert all(text[start] == char for (start, _), char in zip(places, read.text, strict=True) if text[start].isascii())
