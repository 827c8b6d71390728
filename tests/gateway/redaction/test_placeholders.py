"""Placeholders in place of passages, and the texts that come of it."""

import json
import re
from itertools import pairwise

import pytest
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


@pytest.mark.parametrize(
    ("text", "marked", "after"),
    [
        *(("is [PERSON_1] at", one, "is [PERSON_1] at") for one in ("[PERSON_1]", "_1", "[", "1] ", " [PERSON_1]")),
        ("is [PERSON_1].", "1].", "is [PERSON_1]."),
        ("is [PERSON_1] Lopez", "PERSON_1] Lopez", "is [PERSON_1] [WHO_1]"),
        ("Ann [PERSON_1]", "Ann [PERSON", "[WHO_1] [PERSON_1]"),
        (
            "Ann [PERSON_1] and [PERSON_2] Lee!",
            "Ann [PERSON_1] and [PERSON_2] Lee",
            "[WHO_1] [PERSON_1] [WHO_2] [PERSON_2] [WHO_3]!",
        ),
        ("[EMAIL_1]joe", "1]joe", "[EMAIL_1][WHO_1]"),
        ("[A_1][A_2]", "1][A", "[A_1][A_2]"),
        ("[a_1] [A_1234567]", "a_1] [A_1234567", "[[WHO_1]]"),
        ('{"to": "[EMAIL_1] Ann"}', "[EMAIL_1] Ann", '{"to": "[EMAIL_1] [WHO_1]"}'),
    ],
)
def test_a_placeholder_is_no_value(text: str, marked: str, after: str) -> None:
    assert redacted(text, who=marked) == after
    assert redacted(text, is_json=True, who=marked) == after


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ("[CARD_4111_1111_1111_1111]", "4111_1111_1111_1111", "[CARD_[KEY_1]]"),
        ("[DE89370400440532013000_1]", "DE89370400440532013000", "[[KEY_1]_1]"),
        ("https://me:[SECRET_1]@host", "[SECRET_1]", "https://me:[SECRET_1]@host"),
        ("password: 'x1y2[SECRET_1]'", "x1y2[SECRET_1]", "password: '[KEY_1][SECRET_1]'"),
    ],
)
def test_what_a_pattern_finds_within_the_form_of_a_placeholder_is_a_value(text: str, value: str, after: str) -> None:
    assert redacted(text, key=value) == after


@pytest.mark.parametrize(
    ("text", "kinds", "after"),
    [
        ('{"to": "joe@example.com"}', {"email": MAIL}, '{"to": "[EMAIL_1]"}'),
        ('{"call": 4915112345678}', {"phone": "4915112345678"}, '{"call": "[PHONE_1]"}'),
        ('{"call":[-4915112345678.0, 2]}', {"phone": "4915112345678"}, '{"call":["[PHONE_1]", 2]}'),
        ("4915112345678", {"phone": "4915112345678"}, '"[PHONE_1]"'),
        ('{"note": "a\\njoe@example.com\\n"}', {"email": MAIL}, '{"note": "a\\n[EMAIL_1]\\n"}'),
        (
            '```json\n{"call": 4915112345678}\n```\n',
            {"phone": "4915112345678"},
            '```json\n{"call": "[PHONE_1]"}\n```\n',
        ),
        ('```{"to": "joe@example.com"}```', {"email": MAIL}, '```{"to": "[EMAIL_1]"}```'),
        ("```\n4915112345678 {\n```", {"phone": "4915112345678"}, "```\n[PHONE_1] {\n```"),
        ("not json: 4915112345678", {"phone": "4915112345678"}, "not json: [PHONE_1]"),
    ],
)
def test_json_stays_json(text: str, kinds: dict[str, str], after: str) -> None:
    assert redacted(text, is_json=True, **kinds) == after


@pytest.mark.parametrize(
    ("text", "marked", "after"),
    [
        ('{"a":"Ann","b":"Lee"}', 'Ann","b":"Lee', '{"a":"[WHO_1]","[WHO_2]":"[WHO_3]"}'),
        ('{"a": "Ann"}', ': "Ann"}', '{"a": "[WHO_1]"}'),
        ('{"a":true,"b":null}', 'true,"b":null', '{"a":true,"[WHO_1]":null}'),
        ('{"n":-3.5e2,"m":2}', ':-3.5e2,"m":2', '{"n":"[WHO_1]","[WHO_2]":"[WHO_3]"}'),
        (r'{"m":"say \"Joe\" now"}', r'\"Joe\" now"}', '{"m":"say [WHO_1]"}'),
        ('["[WHO_1] Ann", "Lee"]', '[WHO_1] Ann", "Lee"]', '["[WHO_1] [WHO_2]", "[WHO_3]"]'),
        ('```json\n{"a":"Ann"}\n```', ':"Ann"}', '```json\n{"a":"[WHO_1]"}\n```'),
        ('{"a":"!? Ann"}', "!?", '{"a":"[WHO_1] Ann"}'),
        (
            'So:\n```json\n{"a":"Ann","n":5}\n```\nLee',
            ':"Ann","n',
            'So:\n```json\n{"a":"[WHO_1]","[WHO_2]":5}\n```\nLee',
        ),
        ('So:\n```json\n{"a":"Ann"}\n```\n"Lee"', '"Lee"', 'So:\n```json\n{"a":"Ann"}\n```\n[WHO_1]'),
    ],
)
def test_what_a_tagger_takes_of_quotes_and_commas_stays(text: str, marked: str, after: str) -> None:
    start = text.index(marked)
    mark = RedactedSpan(start=start, end=start + len(marked), kind="who", guessed=True)
    assert replace_spans(text, edits(text, [mark], Placeholders(), is_json=True)) == after


@pytest.mark.parametrize(
    ("text", "marked", "after", "value"),
    [
        (r'{"m":"Hi\nJoe M"}', "nJoe M", r'{"m":"Hi\n[PERSON_1]"}', "Joe M"),
        (r'{"m":"Joe\r\nHi"}', "Joe\\", r'{"m":"[PERSON_1]\r\nHi"}', "Joe"),
        (r'{"m":"Hi \u00dcmit"}', "u00dcmit", '{"m":"Hi [PERSON_1]"}', "Ümit"),
        (r'{"m":"Hi \u00dcmit"}', "dcmit", '{"m":"Hi [PERSON_1]"}', "Ümit"),
        (r'{"m":"Jo\u00eb!"}', r"Jo\u", '{"m":"[PERSON_1]!"}', "Joë"),
        (r'{"m":"a\ud83d\ude00Joe"}', "ude00Joe", '{"m":"a[PERSON_1]"}', "😀Joe"),
        (r'{"m":"say \"Joe\""}', '"Joe\\', '{"m":"say [PERSON_1]"}', '"Joe"'),
        (r'{"m":"C:\\nJoe"}', "nJoe", r'{"m":"C:\\[PERSON_1]"}', "nJoe"),
    ],
)
def test_an_escape_in_json_is_not_cut(text: str, marked: str, after: str, value: str) -> None:
    given = Placeholders()
    start = text.index(marked)
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
