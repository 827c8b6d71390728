"""Kinds of personal data in texts. tests/tables/patterns.yaml has the cases."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.find import KINDS, Kind, PatternMatch, find, plain

TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "patterns.yaml").read_text(encoding="utf-8"))
HOLDS: dict[Kind, list[str]] = TABLES["holds"]
CARD = "4111 1111 1111 1111"


def spans(text: str, *kinds: Kind) -> list[str]:
    return [text[match.start : match.end] for match in find(text, kinds or KINDS)]


@pytest.mark.parametrize("kind", HOLDS)
def test_what_a_text_holds_is_found_alone_and_among_words(kind: Kind) -> None:
    around = ("{}", "please see {} thanks, bye", "é {}.")
    texts = [form.format(text) for text in HOLDS[kind] for form in around if "{" not in text] + HOLDS[kind]
    assert [text for text in texts if kind not in {match.kind for match in find(text, [kind])}] == []


def test_what_only_looks_like_it_is_not() -> None:
    assert {text: find(text) for text in TABLES["harmless"] if find(text)} == {}


def test_the_text_around_is_left() -> None:
    found = {text: [(text[one.start : one.end], one.also) for one in find(text)] for text in TABLES["spans"]}
    assert found == {text: [(held, ())] for text, held in TABLES["spans"].items()}


@pytest.mark.parametrize("kind", ["phone", "ip", "secret"])
def test_line_ends_of_json_that_was_not_decoded_part_words(kind: Kind) -> None:
    texts = [f'{{"body": "note:\\n{text}\\nthanks"}}' for text in HOLDS[kind] if text[0] in "+(02sAg"]
    assert [text for text in texts if kind not in {match.kind for match in find(text, [kind])}] == []


def test_overlaps_are_one_match_of_the_stronger_kind() -> None:
    text = "https://bob:joe@example.com"
    assert find(text) == [PatternMatch(12, 27, "secret", ("email",))]
    assert find(text, ["email"]) == [PatternMatch(12, 27, "email")]


@pytest.mark.parametrize("where", [0, 32_760, 32_768 - 9, 32_768, 65_530, 99_000])
def test_nothing_is_lost_where_a_long_text_is_cut(where: int) -> None:
    filler = "word " * 20_000
    assert spans(f"{filler[:where]} {CARD} joe@example.com {filler[where:]}") == [CARD, "joe@example.com"]


def test_long_secrets_are_found_whole() -> None:
    token = "eyJ" + "a" * 3000 + "." + "b" * 3000 + "." + "c" * 3000
    assert spans("x " * 16_000 + token + " y") == [token]
    text = "pwd=a1b2c3&" * 10_000
    assert spans(text) == [text[4:]]


@pytest.mark.parametrize(
    "unit",
    [
        *("4", "1 2 3 ", "@", "a@", "a.b@c.d", "-eyJ", "+1 ", "4１\u200b1 ", "DE89 ", "1.1.", "44 4-", "[at]", "\\"),
        *("\\u00e4", "\\/", "key=", "key='key=\"", "pwd=a1b2c3", "a\u0301@", "1,0", "語@"),
    ],
)
def test_text_made_to_be_slow_is_read_in_steps(unit: str) -> None:
    """Each step is bounded, so that time grows with the text's length only; it is counted, not timed."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    find((unit * 35_000)[:35_000], between=step)
    assert steps == 2 * len(KINDS)


@given(st.text(), st.sampled_from(KINDS))
def test_any_text_can_be_read(text: str, kind: Kind) -> None:
    matches = find(text, [kind])
    assert all(0 <= match.start < match.end <= len(text) for match in matches)
    assert all(left.end <= right.start for left, right in pairwise(matches))


@given(
    st.text(st.sampled_from("xyé \u200b\n,;語"), max_size=30),
    st.sampled_from([(kind, text) for kind in ("card", "iban", "email") for text in HOLDS[kind][:2]]),
    st.text(st.sampled_from("éü \u200b\n,;語"), max_size=30),
)
def test_what_stands_around_it_changes_nothing(before: str, held: tuple[Kind, str], after: str) -> None:
    assert spans(f"{before} {held[1]} {after}", held[0]) == [held[1]]


def test_plain_text_has_ascii_digits_dashes_and_spaces_and_nothing_invisible() -> None:
    assert plain("card 4111").origin(5, 9) == (5, 9)
    assert plain("４١𝟗–\u00a0①").text == "419- 1"
    assert plain("x" + "".join(chr(0xE0000 + ord(sign)) for sign in "a@b.de")).text == "xa@b.de"
    read = plain("é\u200b\u200b12\u200b3\u200b")
    assert (read.text, read.origin(1, 4), read.origin(0, 1)) == ("é123", (3, 7), (0, 1))


def test_escapes_are_the_characters_that_they_spell() -> None:
    text = r"m\u00fcl\\u200b\u0034\ud83d\ude001\u00"
    read = plain(text)
    assert read.text == "mül4\U0001f6001\\u00"
    places = [text[slice(*read.origin(place, place + 1))] for place in range(6)]
    assert places == ["m", r"\u00fc", "l", r"\u0034", r"\ud83d\ude00", "1"]
    assert plain(r"\\u00fc").origin(0, 1) == (0, 7)
    read = plain(r"a\/b\\/")
    assert [read.origin(place, place + 1) for place in range(4)] == [(0, 1), (1, 3), (3, 4), (4, 7)]


@given(st.text())
def test_each_character_is_where_it_was(text: str) -> None:
    read = plain(text)
    places = [read.origin(index, index + 1) for index in range(len(read.text))]
    assert all(end == start + 1 for start, end in places)
    assert places == sorted(places)
    assert all(text[start] == char for (start, _), char in zip(places, read.text, strict=True) if text[start].isascii())
