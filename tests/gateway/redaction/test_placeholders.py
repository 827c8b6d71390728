"""Placeholders in place of passages, and the texts that come of it."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction.placeholders import (
    Placeholders,
    RedactedSpan,
    Unredactable,
    edits,
    holds_json,
    replace_spans,
    restoring,
    spread,
)

ROWS = yaml.safe_load((Path(__file__).parents[2] / "tables" / "redaction.yaml").read_text("utf-8"))
MAIL, CARD = "joe@example.com", "4111 1111 1111 1111"


def marks(text: str, **kinds: str) -> list[RedactedSpan]:
    """A mark at each place of these values; a tagger's, where it is of the kind `who`."""
    return [
        RedactedSpan(start=match.start(), end=match.end(), kind=kind, guessed=kind == "who")
        for kind, value in kinds.items()
        for match in re.finditer(re.escape(value), text)
    ]


def redacted(text: str, *, is_json: bool = False, given: Placeholders | None = None, **kinds: str) -> str:
    return replace_spans(text, edits(text, marks(text, **kinds), given or Placeholders(), is_json=is_json))


def test_each_value_has_one_placeholder_numbered_by_its_first_place() -> None:
    given = Placeholders()
    text = f"{MAIL} or ann@x.org, {CARD}; again {MAIL}"
    made = [*marks(text, email=MAIL), *marks(text, email="ann@x.org"), *marks(text, card=CARD)]
    assert replace_spans(text, edits(text, made, given)) == "[EMAIL_1] or [EMAIL_2], [CARD_1]; again [EMAIL_1]"
    assert redacted("4111-1111-1111-1111", given=given, card="4111-1111-1111-1111") == "[CARD_1]"
    assert redacted("JOE@Example.com", given=given, email="JOE@Example.com") == "[EMAIL_1]"
    assert redacted("j.oe@example.com", given=given, email="j.oe@example.com") == "[EMAIL_3]"
    assert given.values == {}


def test_secrets_that_differ_only_in_case_are_two() -> None:
    given = Placeholders()
    assert [given.placeholder("secret", value) for value in ("Hunter2xyz", "hunter2XYZ", "Hunter2xyz")] == [
        "[SECRET_1]",
        "[SECRET_2]",
        "[SECRET_1]",
    ]


def test_placeholders_from_before_are_not_given_again() -> None:
    assert redacted(f"you said [EMAIL_1]; mine is {MAIL}", email=MAIL) == "you said [EMAIL_1]; mine is [EMAIL_2]"
    # what follows the value speaks of it: the turn after
    assert redacted(f"mine is {MAIL}. You wrote to [EMAIL_1]", email=MAIL).startswith("mine is [EMAIL_1].")
    given = Placeholders()
    given.reserve("[EMAIL_1] [EMAIL_3]")
    assert [given.placeholder("email", value) for value in "abc"] == ["[EMAIL_2]", "[EMAIL_4]", "[EMAIL_5]"]


@pytest.mark.parametrize("row", ROWS["placeholders"])
@pytest.mark.parametrize("is_json", [False, True])
def test_a_placeholder_is_no_value(row: tuple[str, dict[str, str], str], *, is_json: bool) -> None:
    text, kinds, after = row
    assert redacted(text, is_json=is_json, **kinds) == after


@pytest.mark.parametrize("row", ROWS["json"])
def test_json_stays_json(row: tuple[str, dict[str, str], str]) -> None:
    text, kinds, after = row
    assert redacted(text, is_json=True, **kinds) == after


@pytest.mark.parametrize("row", ROWS["escapes"])
def test_an_escape_in_json_is_not_cut(row: tuple[str, str, str, str]) -> None:
    text, marked, after, value = row
    given, start = Placeholders(), text.index(marked)
    mark = RedactedSpan(start=start, end=start + len(marked), kind="person", restore=True)
    assert replace_spans(text, edits(text, [mark], given, is_json=True)) == after
    assert given.values == {"[PERSON_1]": value}


def test_values_are_put_back_where_that_was_asked_for() -> None:
    given = Placeholders()
    secret = 'a"b\nc'
    given.placeholder("secret", secret, restore=True)
    given.placeholder("email", MAIL)
    assert given.values == {"[SECRET_1]": secret}
    text = "use [SECRET_1], not [SECRET_2] or [EMAIL_1]"
    assert replace_spans(text, restoring(text, given.values)) == f"use {secret}, not [SECRET_2] or [EMAIL_1]"
    arguments = '{"key": "[SECRET_1]"}'
    assert json.loads(replace_spans(arguments, restoring(arguments, given.values, is_json=True))) == {"key": secret}
    assert restoring(text, {}) == []


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('{"a": 1}', True),
        ("```json\n[1]\n```", True),
        ('``` \n{"a": 1}```', True),
        ('"a"', False),
        ("```json\n1\n```", False),
        ("```python\n[1]\n```", False),
        ("```\n[1\n```", False),
        ('Here it is:\n```json\n{"a": 1}\n```', False),
        ("```", False),
    ],
)
def test_json_may_stand_in_a_fence(text: str, *, holds: bool) -> None:
    assert holds_json(text) is holds


PLACES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), max_size=6)


WRITTEN = st.lists(st.sampled_from([*'ab[_1]{}",\\ ', "[A_1]", "[A_B_22]"]), max_size=20).map("".join)
NO_PLACEHOLDER = st.text('ab[_1]{}",\\ ', max_size=40)


@given(WRITTEN, PLACES)
def test_whatever_is_marked_placeholders_stay(text: str, places: list[tuple[int, int]]) -> None:
    wanted = [
        RedactedSpan(start=start, end=min(start + size, len(text)), kind="who", guessed=True)
        for start, size in places
        if start < len(text)
    ]
    made = edits(text, wanted, Placeholders())
    gone = {place for edit in made for place in range(edit.start, edit.end)}
    held = {place for match in re.finditer(r"\[[A-Z][A-Z_]*_\d+\]", text) for place in range(*match.span())}
    left = {place for mark in wanted for place in range(mark.start, mark.end)} - gone - held
    assert not gone & held
    assert not any(text[place].isalnum() for place in left)


@given(NO_PLACEHOLDER, PLACES, st.lists(st.integers(0, 40), max_size=5), st.booleans())
def test_nothing_marked_is_left_and_all_else_is(
    text: str, places: list[tuple[int, int]], cuts: list[int], is_json: bool
) -> None:
    wanted = [RedactedSpan(start=start, end=min(start + size, len(text)), kind="ip") for start, size in places]
    wanted = [mark for mark in wanted if mark.start < mark.end]
    try:
        made = edits(text, wanted, Placeholders(), is_json=is_json)
    except Unredactable:
        assert is_json
        return
    marked = {place for mark in wanted for place in range(mark.start, mark.end)}
    gone = {place for edit in made for place in range(edit.start, edit.end)}
    assert marked <= gone
    assert marked == gone or is_json
    kept = "".join(char for place, char in enumerate(text) if place not in gone)
    assert len(replace_spans(text, made)) == len(kept) + sum(len(edit.text) for edit in made)
    ends = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [text[start:end] for start, end in pairwise(ends)]
    assert "".join(spread(pieces, made)) == replace_spans(text, made)
    assert len(spread(pieces, made)) == len(pieces)
